package cmd

import (
	"os"
	"syscall"
	"testing"
)

// Which signals a command needs to hear before it ends, and whether a server drains before.
func TestSignalsThatEndACommand(t *testing.T) {
	for name, c := range map[string]struct {
		serves  bool
		signals []os.Signal
		drains  bool
	}{
		"SIGTERM to a command":                    {false, []os.Signal{syscall.SIGTERM}, false},
		"SIGINT to a command":                     {false, []os.Signal{syscall.SIGINT}, false},
		"Ctrl-C at a server":                      {true, []os.Signal{syscall.SIGINT}, false},
		"SIGTERM and Ctrl-C at a server":          {true, []os.Signal{syscall.SIGTERM, syscall.SIGINT}, true},
		"SIGTERM twice at a server":               {true, []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, true},
		"SIGTERM while the server still prepares": {false, []os.Signal{syscall.SIGTERM}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := stopSignals{draining: make(chan struct{})}
			s.drains.Store(c.serves)
			signals, ended := make(chan os.Signal), make(chan struct{})
			go func() {
				defer close(ended)
				s.heed(t.Context(), signals)
			}()
			for i, signal := range c.signals {
				select {
				case signals <- signal:
				case <-ended:
					t.Fatalf("it ended before signal %d", i+1)
				}
			}
			<-ended
			select {
			case <-s.draining:
				if !c.drains {
					t.Error("it drained")
				}
			default:
				if c.drains {
					t.Error("it did not drain")
				}
			}
		})
	}
}
