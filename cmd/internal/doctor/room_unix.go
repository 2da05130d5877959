//go:build linux || darwin

package doctor

import "syscall"

// roomAt is how many bytes the server may still write to the file system of a folder, and how many it has in all.
func roomAt(folder string) (free, all uint64, known bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil {
		return 0, 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), true
}
