//go:build unix

package bench

import (
	"os/exec"
	"syscall"
)

// runAs makes a command run as an account.
func runAs(command *exec.Cmd, owner *account) {
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.uid, Gid: owner.gid}}
}
