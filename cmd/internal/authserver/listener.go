package authserver

import (
	"net"
	"sync"
)

// completeListener accepts, when it is closed, every connection that the kernel has taken: a plain one would reset them, and a proxy cannot
// repeat a POST that it has sent.
type completeListener struct {
	net.Listener
	mu     sync.Mutex
	last   []net.Conn
	closed bool
}

// Close implements [net.Listener]. Accept goes on until it has returned the last connection.
func (l *completeListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed, l.last = true, acceptRest(l.Listener)
	return l.Listener.Close()
}

// Accept implements [net.Listener].
func (l *completeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) == 0 {
		return nil, err
	}
	conn, l.last = l.last[0], l.last[1:]
	return conn, nil
}
