//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package pgpool

import "net"

// socket cannot look at a connection without reading from it here.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) silent() bool { return true }
