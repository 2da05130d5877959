package authserver

import (
	"net"
	"os"
	"syscall"
)

// acceptRest accepts what waits at the listener and ends it within the same microsecond. Nobody else can: net's own Close first
// wakes the goroutine that accepts.
func acceptRest(l net.Listener) (rest []net.Conn) {
	listener, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil
	}
	var files []*os.File
	_ = raw.Control(func(fd uintptr) {
		for {
			accepted, _, err := syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err == syscall.EINTR || err == syscall.ECONNABORTED {
				continue
			}
			if err != nil {
				break
			}
			files = append(files, os.NewFile(uintptr(accepted), "connection"))
		}
		_ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) // from here on connections are refused
	})
	for _, file := range files {
		if conn, err := net.FileConn(file); err == nil { // which has a descriptor of its own
			rest = append(rest, conn)
		}
		_ = file.Close()
	}
	return rest
}
