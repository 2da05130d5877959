package database

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Turns is for work that cannot be done by two at once, and that costs hardly more for many than for one. Callers that
// arrive while somebody is at work wait together, and one of them does the work of all. Nobody waits for a group to
// fill: a lone caller works at once.
//
// There is no background goroutine. Whoever holds turn works for all that wait.
type Turns[T any] struct {
	// work does the jobs and sends each its outcome. Its deadline is not that of a caller: one who goes away must not undo
	// the work of the others.
	work  func(ctx context.Context, jobs []*Job[T])
	limit time.Duration // of work

	turn    chan struct{} // holds one token while somebody works
	mu      sync.Mutex
	waiting []*Job[T]
}

// Job is what one caller wants done.
type Job[T any] struct {
	What T
	Done chan error // takes exactly one value, once the job is durable or has failed
}

var errPanicked = errors.New("storage: a write panicked; it may have been made all the same")

// groupLimit bounds a group, so that a long queue cannot make the first in it wait for the last.
const groupLimit = 256

// NewTurns is for work that takes no longer than limit. work sends each job its outcome.
func NewTurns[T any](limit time.Duration, work func(ctx context.Context, jobs []*Job[T])) *Turns[T] {
	return &Turns[T]{work: work, limit: limit, turn: make(chan struct{}, 1)}
}

// Do has what done, by this caller or by another.
func (t *Turns[T]) Do(ctx context.Context, what T) error {
	if err := ctx.Err(); err != nil {
		return err // whoever has gone already wants nothing done
	}
	j := &Job[T]{What: what, Done: make(chan error, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, j)
	t.mu.Unlock()
	for {
		select {
		case err := <-j.Done:
			return err
		case t.turn <- struct{}{}:
			t.workForAll()
		case <-ctx.Done():
			if t.withdraw(j) {
				return ctx.Err()
			}
			return <-j.Done // already being done: the truth is a moment away
		}
	}
}

// withdraw takes j out of the queue and tells whether it was still there.
func (t *Turns[T]) withdraw(j *Job[T]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, j)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// workForAll does what is queued, up to groupLimit jobs. The caller holds turn, which is free afterwards.
func (t *Turns[T]) workForAll() {
	defer func() { <-t.turn }()
	t.mu.Lock()
	n := min(len(t.waiting), groupLimit)
	group := slices.Clone(t.waiting[:n])
	t.waiting = slices.Delete(t.waiting, 0, n)
	t.mu.Unlock()
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.limit)
	defer cancel()
	defer func() {
		if r := recover(); r != nil { // a host's callback, for instance: nobody may wait for ever
			for _, j := range group {
				select {
				case j.Done <- errPanicked:
				default: // it has its answer
				}
			}
			panic(r)
		}
	}()
	t.work(ctx, group)
}
