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

// hashesCommand is the command of the process that compares slow hashes for the server: see [slowhash.Process].
func hashesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "compute-hashes",
		Short:   "What the server starts to compare slow hashes",
		Example: `  fosite-mcp compute-hashes`,
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(*cobra.Command, []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // meant for the server: this process ends with it
			lowerPriority()
			return slowhash.Serve(a.Stdin, a.Stdout)
		},
	}
}

// hashProcessVariable is set in the environment of that process: it must start no other.
const hashProcessVariable = "FOSITE_MCP_COMPUTES_HASHES"

// hashProcess runs this program as a process for up to atOnce hashes at a time. It gets the variables of Go's runtime, and
// none of the server's settings: they hold secrets.
func hashProcess(environ []string, atOnce int) *slowhash.Process {
	env := []string{hashProcessVariable + "=1", fmt.Sprint("GOMAXPROCS=", atOnce)}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"GOGC", "GOMEMLIMIT", "GODEBUG", "LD_LIBRARY_PATH"}, name) {
			env = append(env, entry)
		}
	}
	return &slowhash.Process{Command: func() *exec.Cmd {
		c := thisProgram("compute-hashes")
		if os.Getenv(hashProcessVariable) != "" {
			c.Path = "" // the start fails
		}
		c.Env = env
		return c
	}}
}

// thisProgram runs this program with these arguments.
func thisProgram(arguments ...string) *exec.Cmd {
	program := "/proc/self/exe" // works when the file was replaced, too
	if runtime.GOOS != "linux" {
		program, _ = os.Executable() // empty after an error: the start fails
	}
	c := exec.Command(program, arguments...)
	c.Args[0] = os.Args[0]
	return c
}
