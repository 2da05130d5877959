package cmd

import (
	"os"
	"strconv"
	"syscall"
)

// lowerPriority lets other processes go first. Each thread has a priority of its own, and passes it on to those that it starts.
func lowerPriority() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, 5)
		}
	}
}
