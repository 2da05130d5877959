package storage

import (
	"context"
	"errors"
	"time"
)

// groupWriter is the writer for SQLite, which has one writer at a time and pays for each durable commit. Writes
// that arrive while a commit is under way share the next one.
type groupWriter struct {
	db *database
	*turns[writeFunc]
}

type writeFunc = func(ctx context.Context, q queryer) error

// groupTimeout bounds a commit in time.
const groupTimeout = 30 * time.Second

func newGroupWriter(db *database) *groupWriter {
	w := &groupWriter{db: db}
	w.turns = newTurns(groupTimeout, w.commitAll)
	return w
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
	return w.do(ctx, fn)
}

func (w *groupWriter) commitAll(ctx context.Context, group []*job[writeFunc]) {
	if culprit, err := w.commit(ctx, group); err == nil || len(group) == 1 || !culprit {
		for _, write := range group {
			write.done <- err
		}
		return
	}
	// One write failed and took the others with it: each by itself, so that each gets its own answer.
	for i, write := range group {
		_, err := w.commit(ctx, group[i:i+1])
		write.done <- err
	}
}

// commit runs the writes of group in one transaction. culprit tells that one of them failed, rather than the
// database as a whole.
func (w *groupWriter) commit(ctx context.Context, group []*job[writeFunc]) (culprit bool, err error) {
	err = w.db.inTransaction(ctx, func(ctx context.Context, q queryer) error {
		for _, write := range group {
			if err := runSafely(ctx, q, write.what); err != nil {
				culprit = true
				return err
			}
		}
		return nil
	})
	return culprit, err
}

// runSafely turns a panic into an error: it happens on the goroutine of whoever commits, not of whoever wrote.
func runSafely(ctx context.Context, q queryer, write writeFunc) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("storage: a write panicked")
		}
	}()
	return write(ctx, q)
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
