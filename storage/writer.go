package storage

import (
	"context"
	"errors"
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

func (w *directWriter) exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	err = repeat(ctx, func() error {
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
	return repeat(ctx, func() error { return w.db.inTransaction(ctx, fn) })
}

func (w *directWriter) begin(ctx context.Context) (*transaction, error) {
	var tx *txQueryer
	err := repeat(ctx, func() (err error) {
		if tx, err = w.db.begin(ctx); err != nil {
			return notCommitted(err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newTransaction(ctx, tx, func() {}), nil
}

// inTransaction runs fn between BEGIN and COMMIT, once.
func (d *database) inTransaction(ctx context.Context, fn func(ctx context.Context, q queryer) error) error {
	tx, err := d.begin(ctx)
	if err != nil {
		return notCommitted(err)
	}
	if err := fn(ctx, tx); err != nil {
		if rollbackErr := tx.tx.Rollback(); rollbackErr != nil {
			err = errors.Join(err, rollbackErr)
		}
		return notCommitted(err)
	}
	return tx.commit(ctx)
}
