//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package pgpool

import (
	"net"
	"syscall"
)

// socket looks at a connection without reading from it.
type socket struct {
	raw  syscall.RawConn // nil: unknown
	look func(fd uintptr)
	byte [1]byte
	err  error
}

func newSocket(c net.Conn) *socket {
	s := new(socket)
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = wrapped.NetConn()
	}
	if c, ok := c.(syscall.Conn); ok {
		s.raw, _ = c.SyscallConn()
	}
	s.look = func(fd uintptr) {
		_, _, s.err = syscall.Recvfrom(int(fd), s.byte[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return s
}

// silent tells whether nothing has come, not even the end. It costs a system call and waits for nothing, where
// [syscall.RawConn.Read] would wait for a reader that pgx leaves behind after a slow write.
func (s *socket) silent() bool {
	if s.raw == nil {
		return true
	}
	if err := s.raw.Control(s.look); err != nil {
		return false
	}
	return s.err == syscall.EAGAIN || s.err == syscall.EWOULDBLOCK
}
