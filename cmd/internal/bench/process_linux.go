package bench

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps signals of the terminal from a child, and ends it with this program. It keeps the account that the command
// may have.
func ownGroup(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = new(syscall.SysProcAttr)
	}
	command.SysProcAttr.Setpgid = true
	command.SysProcAttr.Pdeathsig = syscall.SIGTERM
}
