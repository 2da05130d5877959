//go:build unix

package doctor

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user whose file it is.
func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(stat.Uid), true
}

// mayWrite asks the system: a mode says nothing of a file system that is mounted for reading alone.
func mayWrite(path string) bool {
	const forWriting = 2 // W_OK
	return syscall.Access(path, forWriting) == nil
}
