package database

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Turns is for work that few may do at once, or only one, and that costs hardly more for many callers than for one. Callers
// that arrive while so many are at work wait together, and one of them does the work of all. Nobody waits for a group to fill: a
// lone caller works at once.
//
// There is no background goroutine. Whoever holds turn works for all that wait.
type Turns[T any] struct {
	// work does the jobs and sends each its outcome. Its deadline is not that of a caller: one who goes away must not undo
	// the work of the others.
	work  func(ctx context.Context, jobs []*Job[T])
	limit time.Duration // of work
	// mayLeave says that a caller whose context ends need not know what becomes of a job that somebody works at.
	mayLeave bool
	// patience is how long work keeps its turn: what takes longer does not hold up the others. 0: to its end.
	patience time.Duration

	turn    chan struct{} // holds a token for each who works
	mu      sync.Mutex
	waiting []*Job[T]
	next    *Job[T] // whose caller waits for a turn, to work for all that wait by then; nil: nobody waits
}

// Job is what one caller wants done.
type Job[T any] struct {
	What T
	Done chan error // takes one value of the worker's, once the job is durable or has failed
}

// errNext tells a caller that waits that its job is the next one.
var errNext = errors.New("next")

var errPanicked = errors.New("storage: a write panicked; it may have been made all the same")

// groupLimit bounds a group, so that a long queue cannot make the first in it wait for the last.
const groupLimit = 256

// NewTurns is for work that takes no longer than limit, and that so many may do at once. work sends each job its outcome.
func NewTurns[T any](limit time.Duration, atOnce int, work func(ctx context.Context, jobs []*Job[T])) *Turns[T] {
	return &Turns[T]{work: work, limit: limit, turn: make(chan struct{}, atOnce)}
}

// Do has what done, by this caller or by another.
func (t *Turns[T]) Do(ctx context.Context, what T) error {
	if err := ctx.Err(); err != nil {
		return err // whoever has gone already wants nothing done
	}
	j := &Job[T]{What: what, Done: make(chan error, 2)}
	t.mu.Lock()
	t.waiting = append(t.waiting, j)
	t.callNext()
	t.mu.Unlock()
	var turn chan struct{} // nil: not to be waited for
	for {
		select {
		case err := <-j.Done:
			if err != errNext {
				return err
			}
			turn = t.turn
		case turn <- struct{}{}:
			turn = nil
			t.workForAll()
		case <-ctx.Done():
			if t.withdraw(j) || t.mayLeave {
				return ctx.Err()
			}
			return <-j.Done // already being done: the truth is a moment away
		}
	}
}

// callNext has the first caller that waits take a turn, if nobody is to do so already. The caller holds mu.
func (t *Turns[T]) callNext() {
	if t.next == nil && len(t.waiting) > 0 {
		t.next = t.waiting[0]
		t.next.Done <- errNext
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
	if t.next == j {
		t.next = nil
		t.callNext()
	}
	return true
}

// workForAll does what is queued, up to groupLimit jobs, and that of the caller first. The caller holds a turn, which is free
// afterwards.
func (t *Turns[T]) workForAll() {
	runtime.Gosched() // nobody is waited for, but callers who are about to join run first
	t.mu.Lock()
	n := min(len(t.waiting), groupLimit)
	group := slices.Clone(t.waiting[:n])
	t.waiting = slices.Delete(t.waiting, 0, n)
	t.next = nil
	t.callNext()
	t.mu.Unlock()
	if t.mayLeave && n > 1 { // the caller, too
		go func() {
			defer func() { _ = recover() }() // its callers have been told
			t.workFor(group)
		}()
		return
	}
	t.workFor(group)
}

func (t *Turns[T]) workFor(group []*Job[T]) {
	release := sync.OnceFunc(func() { <-t.turn })
	defer release()
	if t.patience > 0 {
		defer time.AfterFunc(t.patience, release).Stop()
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
