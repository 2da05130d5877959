package storage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// groupWriter is the writer for SQLite, which has one writer at a time and pays for each durable commit. Writes
// that arrive while a commit is under way wait together and share the next one. Nobody waits for a group to
// fill: a lone write commits at once.
//
// There is no background goroutine. Whoever holds turn commits for all that wait.
type groupWriter struct {
	db      *database
	turn    chan struct{} // holds one token while somebody writes
	mu      sync.Mutex
	waiting []*pendingWrite
}

type pendingWrite struct {
	fn   func(ctx context.Context, q queryer) error
	done chan error // receives exactly one value, once the write is durable or has failed
}

// groupLimit bounds a commit, so that a long queue cannot make the first in it wait for the last.
const groupLimit = 256

// groupTimeout bounds a commit in time. It is not the caller's deadline: one caller who goes away must not
// undo the writes of the others.
const groupTimeout = 30 * time.Second

func newGroupWriter(db *database) *groupWriter {
	return &groupWriter{db: db, turn: make(chan struct{}, 1)}
}

func (w *groupWriter) exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	err = w.write(ctx, func(ctx context.Context, q queryer) error {
		result, err := q.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		affected, err = result.RowsAffected()
		return err
	})
	return affected, err
}

func (w *groupWriter) write(ctx context.Context, fn func(ctx context.Context, q queryer) error) error {
	p := &pendingWrite{fn: fn, done: make(chan error, 1)}
	w.mu.Lock()
	w.waiting = append(w.waiting, p)
	w.mu.Unlock()
	for {
		select {
		case err := <-p.done:
			return err
		case w.turn <- struct{}{}:
			w.commitWaiting()
			<-w.turn
		case <-ctx.Done():
			if w.withdraw(p) {
				return ctx.Err()
			}
			return <-p.done // already being committed: the truth is a moment away
		}
	}
}

// withdraw takes p out of the queue and tells whether it was still there.
func (w *groupWriter) withdraw(p *pendingWrite) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, p)
	if i < 0 {
		return false
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return true
}

// commitWaiting commits what is queued, up to groupLimit writes. The caller holds turn.
func (w *groupWriter) commitWaiting() {
	w.mu.Lock()
	n := min(len(w.waiting), groupLimit)
	group := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	w.mu.Unlock()
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	if culprit, err := w.commit(ctx, group); err == nil || n == 1 || !culprit {
		for _, p := range group {
			p.done <- err
		}
		return
	}
	// One write failed and took the others with it: each by itself, so that each gets its own answer.
	for _, p := range group {
		_, err := w.commit(ctx, []*pendingWrite{p})
		p.done <- err
	}
}

// commit runs the writes of group in one transaction. culprit tells that one of them failed, rather than the
// database as a whole.
func (w *groupWriter) commit(ctx context.Context, group []*pendingWrite) (culprit bool, err error) {
	err = w.db.inTransaction(ctx, func(ctx context.Context, q queryer) error {
		for _, p := range group {
			if err := p.run(ctx, q); err != nil {
				culprit = true
				return err
			}
		}
		return nil
	})
	return culprit, err
}

// run turns a panic into an error: it happens on the goroutine of whoever commits, not of whoever wrote.
func (p *pendingWrite) run(ctx context.Context, q queryer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("storage: a write panicked")
		}
	}()
	return p.fn(ctx, q)
}

func (w *groupWriter) begin(ctx context.Context) (*transaction, error) {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	tx, err := w.db.begin(ctx)
	if err != nil {
		<-w.turn
		return nil, err
	}
	return newTransaction(ctx, tx, func() { <-w.turn }), nil
}
