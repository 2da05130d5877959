package database

import (
	"context"
	"errors"
	"time"
)

// groupWriter is the writer for SQLite, which has one writer at a time and pays for each durable commit. Writes
// that arrive while a commit is under way share the next one.
type groupWriter struct {
	db *DB
	*Turns[groupedWrite]
}

// groupedWrite is what one caller writes. ctx is the caller's.
type groupedWrite struct {
	ctx context.Context
	fn  func(ctx context.Context, tx *Tx) error
}

// groupTimeout bounds a commit in time.
const groupTimeout = 30 * time.Second

func newGroupWriter(db *DB) *groupWriter {
	w := &groupWriter{db: db}
	w.Turns = NewTurns(groupTimeout, w.commitAll)
	return w
}

func (w *groupWriter) one(ctx context.Context, statement func(tx *Tx) (int64, error)) (rows int64, err error) {
	err = w.write(ctx, func(_ context.Context, tx *Tx) (err error) {
		rows, err = statement(tx)
		return err
	})
	return rows, err
}

func (w *groupWriter) write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return w.Do(ctx, groupedWrite{ctx, fn})
}

func (w *groupWriter) commitAll(ctx context.Context, group []*Job[groupedWrite]) {
	if culprit, err := w.commit(ctx, group); err == nil || len(group) == 1 || !culprit {
		for _, write := range group {
			write.Done <- err
		}
		return
	}
	// One write failed and took the others with it: each by itself, so that each gets its own answer.
	for i, write := range group {
		_, err := w.commit(ctx, group[i:i+1])
		write.Done <- err
	}
}

// commit runs the writes of group in one transaction. culprit tells that one of them failed, rather than the
// database as a whole.
func (w *groupWriter) commit(ctx context.Context, group []*Job[groupedWrite]) (culprit bool, err error) {
	err = w.db.inTransaction(ctx, func(ctx context.Context, t *transaction) error {
		for _, write := range group {
			if err := w.runSafely(groupContext{ctx, write.What.ctx}, t, write.What.fn); err != nil {
				culprit = true
				return err
			}
		}
		return nil
	})
	return culprit, err
}

// groupContext ends with the group, which the end of one caller must not undo, and has the values of the caller.
type groupContext struct {
	context.Context
	caller context.Context
}

// Value implements [context.Context].
func (c groupContext) Value(key any) any {
	if _, ours := key.(transactionKey); ours {
		return c.Context.Value(key)
	}
	return c.caller.Value(key)
}

// runSafely turns a panic into an error: it happens on the goroutine of whoever commits, not of whoever wrote.
func (w *groupWriter) runSafely(ctx context.Context, t *transaction, fn func(ctx context.Context, tx *Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("storage: a write panicked")
		}
	}()
	return fn(ctx, w.db.tx(ctx, t))
}

func (w *groupWriter) begin(ctx context.Context) (t *transaction, release func(), err error) {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	release = func() { <-w.turn }
	if t, err = w.db.begin(ctx); err != nil {
		release()
		return nil, nil, err
	}
	return t, release, nil
}
