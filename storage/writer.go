package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A writer makes writes durable. There are two: SQLite wants writes to take turns and to share commits,
// PostgreSQL wants them all at once and some of them again.
type writer interface {
	// exec runs one statement and returns after its commit, with the number of rows it changed.
	exec(ctx context.Context, query string, args ...any) (int64, error)
	// write runs fn in a transaction and returns after its commit. fn may run more than once, so it must start
	// from scratch each time; an error of its own rolls back what it did.
	write(ctx context.Context, fn func(ctx context.Context, q queryer) error) error
	// begin opens a transaction that the caller ends with commit or rollback.
	begin(ctx context.Context) (*transaction, error)
}

// directWriter is the writer for PostgreSQL.
type directWriter struct{ db *database }

// conflictRetries bounds how often a transaction that lost against another one is run again.
const conflictRetries = 8

func (w *directWriter) exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	err = retryConflicts(ctx, func() error {
		result, err := w.db.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		affected, err = result.RowsAffected()
		return err
	})
	return affected, err
}

func (w *directWriter) write(ctx context.Context, fn func(ctx context.Context, q queryer) error) error {
	return retryConflicts(ctx, func() error { return w.db.inTransaction(ctx, fn) })
}

func (w *directWriter) begin(ctx context.Context) (*transaction, error) {
	tx, err := w.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	return newTransaction(ctx, tx, func() {}), nil
}

// inTransaction runs fn between BEGIN and COMMIT, once.
func (d *database) inTransaction(ctx context.Context, fn func(ctx context.Context, q queryer) error) error {
	tx, err := d.begin(ctx)
	if err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		if rollbackErr := tx.tx.Rollback(); rollbackErr != nil {
			return errors.Join(err, rollbackErr)
		}
		return err
	}
	return tx.commit(ctx)
}

// retryConflicts runs fn again when PostgreSQL says that it lost against a concurrent transaction
// (serialization_failure, deadlock_detected). Nothing was committed then, so running it again is safe.
func retryConflicts(ctx context.Context, fn func() error) error {
	for attempt := 0; ; attempt++ {
		err := fn()
		if err == nil || !isConflict(err) || attempt == conflictRetries {
			return err
		}
		pause := time.Duration(1+rand.IntN(4<<attempt)) * time.Millisecond
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (while waiting to try again: %w)", err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func isConflict(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return false
	}
	return state.SQLState() == "40001" || state.SQLState() == "40P01"
}
