package cmd

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// stopSignals are SIGINT and SIGTERM. They end a command. A server that serves drains at its first SIGTERM instead, and ends at the
// next signal of either kind.
type stopSignals struct {
	draining chan struct{} // closed when the server has to drain
	drains   atomic.Bool   // there is a server that does
}

// listen returns a context that ends when the command has to. Call release after the command.
func (s *stopSignals) listen() (ctx context.Context, release func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		s.heed(ctx, signals)
		signal.Reset(syscall.SIGINT) // a further Ctrl-C does not wait for anything
		cancel()
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// heed returns when the command has to end.
func (s *stopSignals) heed(ctx context.Context, signals <-chan os.Signal) {
	select {
	case <-ctx.Done():
		return
	case first := <-signals:
		if first != syscall.SIGTERM || !s.drains.Load() { // who presses Ctrl-C does not want to wait
			return
		}
	}
	close(s.draining)
	select {
	case <-ctx.Done():
	case <-signals:
	}
}
