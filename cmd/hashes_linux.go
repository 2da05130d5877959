package cmd

import (
	"os"
	"strconv"
	"syscall"
)

// giveWay lets other processes go first. Each thread has a priority of its own, and passes it on to those that it starts.
func giveWay() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, 5)
		}
	}
}
