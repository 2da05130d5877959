package database

import (
	"context"
	"errors"
)

// A writer makes writes durable that are in no transaction yet. There are two. On SQLite writes take turns and share commits.
// On PostgreSQL they run concurrently, and some are repeated.
type writer interface {
	// one runs one statement and returns after its commit.
	one(ctx context.Context, statement func(tx *Tx) (rows int64, err error)) (rows int64, err error)
	// write runs fn in a transaction and returns after its commit, see DB.Write.
	write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error
	// begin opens a transaction; release is to be called after its end.
	begin(ctx context.Context) (t *transaction, release func(), err error)
}

// directWriter is the writer for PostgreSQL.
type directWriter struct{ db *DB }

func (w *directWriter) one(ctx context.Context, statement func(tx *Tx) (int64, error)) (rows int64, err error) {
	err = Repeat(ctx, func() (err error) {
		rows, err = statement(&Tx{session(ctx, w.db.quiet, w.db.quiet.Statement.ConnPool), w.db})
		return err
	})
	return rows, err
}

func (w *directWriter) write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return Repeat(ctx, func() error {
		return w.db.inTransaction(ctx, func(ctx context.Context, t *transaction) error { return fn(ctx, w.db.tx(ctx, t)) })
	})
}

func (w *directWriter) begin(ctx context.Context) (t *transaction, release func(), err error) {
	err = Repeat(ctx, func() (err error) {
		if t, err = w.db.begin(ctx); err != nil {
			return notCommitted(err)
		}
		return nil
	})
	return t, func() {}, err
}

// undone is err, after which something was undone; by itself where that went well.
func undone(err, undo error) error {
	if undo == nil {
		return err
	}
	return errors.Join(err, undo)
}

// inTransaction runs fn between BEGIN and COMMIT, once.
func (d *DB) inTransaction(ctx context.Context, fn func(ctx context.Context, t *transaction) error) error {
	t, err := d.begin(ctx)
	if err != nil {
		return notCommitted(err)
	}
	over := false
	defer func() {
		if !over { // fn has panicked
			_ = t.rollback()
		}
	}()
	inner := t.in(ctx)
	err = fn(inner, t)
	over = true
	if err != nil {
		return notCommitted(undone(err, t.rollback()))
	}
	return d.commit(inner, t)
}
