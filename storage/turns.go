package storage

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turns is for work that cannot be done by two at once, and that costs hardly more for many than for one. Callers that
// arrive while somebody is at work wait together, and one of them does the work of all. Nobody waits for a group to
// fill: a lone caller works at once.
//
// There is no background goroutine. Whoever holds turn works for all that wait.
type turns[T any] struct {
	// work does the jobs and sends each its outcome. Its deadline is not that of a caller: one who goes away must not undo
	// the work of the others.
	work  func(ctx context.Context, jobs []*job[T])
	limit time.Duration // of work

	turn    chan struct{} // holds one token while somebody works
	mu      sync.Mutex
	waiting []*job[T]
}

type job[T any] struct {
	what T
	done chan error // receives exactly one value, once the job is durable or has failed
}

// groupLimit bounds a group, so that a long queue cannot make the first in it wait for the last.
const groupLimit = 256

func newTurns[T any](limit time.Duration, work func(ctx context.Context, jobs []*job[T])) *turns[T] {
	return &turns[T]{work: work, limit: limit, turn: make(chan struct{}, 1)}
}

// do has what done, by this caller or by another.
func (t *turns[T]) do(ctx context.Context, what T) error {
	if err := ctx.Err(); err != nil {
		return err // whoever has gone already wants nothing done
	}
	j := &job[T]{what: what, done: make(chan error, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, j)
	t.mu.Unlock()
	for {
		select {
		case err := <-j.done:
			return err
		case t.turn <- struct{}{}:
			t.workForAll()
		case <-ctx.Done():
			if t.withdraw(j) {
				return ctx.Err()
			}
			return <-j.done // already being done: the truth is a moment away
		}
	}
}

// withdraw takes j out of the queue and tells whether it was still there.
func (t *turns[T]) withdraw(j *job[T]) bool {
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
func (t *turns[T]) workForAll() {
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
	t.work(ctx, group)
}
