package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"fosite-mcp/provider/slowhash"

	"github.com/spf13/cobra"
)

// hashesCommand is the process that the server starts for slow hashes, see [slowhash.Process].
func (a *app) hashesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "compute-hashes",
		Short:   "What the server starts to compare slow hashes",
		Example: `  fosite-mcp compute-hashes`,
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(*cobra.Command, []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // of the terminal, for the server, whose end ends this
			giveWay()
			return slowhash.Serve(a.stdin, a.stdout)
		},
	}
}

// computeHashes is that command, of this very program. The settings of the server, its secrets among them, are not passed on.
func computeHashes() *exec.Cmd {
	program := "/proc/self/exe" // also when the file has been replaced meanwhile
	if runtime.GOOS != "linux" {
		program, _ = os.Executable() // when it fails, so does the start
	}
	c := exec.Command(program, "compute-hashes")
	c.Args[0] = os.Args[0]
	c.Env = []string{fmt.Sprint("GOMAXPROCS=", max(1, runtime.NumCPU()/2))}
	return c
}
