package observe

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// linesWait is how long a line may wait for others.
const linesWait = 100 * time.Millisecond

// Lines writes many lines at once: a system call for each would cost as much as the line. Make one with [NewLines], give it to a
// log, and call [Lines.Flush] at the end. A process that is killed loses the lines of the last 100 milliseconds.
type Lines struct {
	out     io.Writer
	mu      sync.Mutex
	held    *bufio.Writer
	waiting bool // for others; a flush is on its way
}

// NewLines writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{out: w, held: bufio.NewWriterSize(w, 64<<10)} }

// Write implements [io.Writer].
func (l *Lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting {
		l.waiting = true
		time.AfterFunc(linesWait, l.Flush)
	}
	if l.held.Available() < len(line) { // no line is cut in two, with one of another log between
		l.flush()
	}
	return l.held.Write(line)
}

// Flush writes what waits.
func (l *Lines) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	l.flush()
}

// flush gives up what cannot be written, as a log without a buffer does: a bufio.Writer would refuse all that follows.
func (l *Lines) flush() {
	if l.held.Flush() != nil {
		l.held.Reset(l.out)
	}
}
