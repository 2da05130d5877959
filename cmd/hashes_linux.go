package cmd

import (
	"os"
	"strconv"
	"syscall"
)

// lowerPriority lets other processes go first. Each thread has its own priority, and the threads that it starts inherit it.
func lowerPriority() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, 5)
		}
	}
}
