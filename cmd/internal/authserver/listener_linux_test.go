package authserver

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// A proxy may have sent a request on a connection that nobody has accepted when the listener is closed.
func TestClosedListenerAcceptsWhatTheKernelHasTaken(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &completeListener{Listener: inner}
	const waiting = 5
	for range waiting {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range waiting {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		received := make([]byte, 16)
		if n, err := conn.Read(received); err != nil || string(received[:n]) != "request" {
			t.Errorf("%q %v", received[:n], err)
		}
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the last one: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
}
