package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"fosite-mcp/provider/client/slowhash"

	"github.com/spf13/cobra"
)

// hashesCommand is the process that the server starts for slow hashes, see [slowhash.Process].
func hashesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "compute-hashes",
		Short:   "What the server starts to compare slow hashes",
		Example: `  fosite-mcp compute-hashes`,
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(*cobra.Command, []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // of the terminal, for the server, whose end ends this
			lowerPriority()
			return slowhash.Serve(a.Stdin, a.Stdout)
		},
	}
}

// hashProcessVariable is set for that process, which starts no other.
const hashProcessVariable = "FOSITE_MCP_COMPUTES_HASHES"

// hashProcess is a process of this very program for up to atOnce hashes at a time. The settings of the server, its secrets among
// them, are not passed on; what the operator has set for Go's runtime is.
func hashProcess(environ []string, atOnce int) *slowhash.Process {
	env := []string{hashProcessVariable + "=1", fmt.Sprint("GOMAXPROCS=", atOnce)}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"GOGC", "GOMEMLIMIT", "GODEBUG", "LD_LIBRARY_PATH"}, name) {
			env = append(env, entry)
		}
	}
	return &slowhash.Process{Command: func() *exec.Cmd {
		program := "/proc/self/exe" // also when the file has been replaced meanwhile
		if runtime.GOOS != "linux" {
			program, _ = os.Executable() // when it fails, so does the start
		}
		if os.Getenv(hashProcessVariable) != "" {
			program = ""
		}
		c := exec.Command(program, "compute-hashes")
		c.Args[0] = os.Args[0]
		c.Env = env
		return c
	}}
}
