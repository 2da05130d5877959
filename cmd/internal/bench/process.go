package bench

import (
	"bytes"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a child that does not outlive this program.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error // how it ended
}

// start starts a child. An interrupt at the terminal does not reach it: it is stopped when nobody needs it any more.
func start(command *exec.Cmd) (*process, error) {
	ownGroup(command)
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Linux ends the child when the thread ends that has started it
		err := command.Start()
		started <- err
		if err == nil {
			p.err = command.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// stopLimit is how long a child may take to stop.
const stopLimit = 10 * time.Second

// stop ends the child, with a signal if it understands that in time.
func (p *process) stop(signal syscall.Signal) {
	if p.command.Process.Signal(signal) == nil {
		select {
		case <-p.ended:
			return
		case <-time.After(stopLimit):
		}
	}
	_ = p.command.Process.Kill() // it has ended by itself otherwise
	<-p.ended
}

// tail keeps the end of what a child says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4096

func (t *tail) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, text...)
	if more := len(t.text) - tailSize; more > 0 {
		t.text = append(t.text[:0], t.text[more:]...)
	}
	return len(text), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
