package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// transactionLimit bounds how long a transaction may stay open. On SQLite it holds up every other write, so
// one that somebody forgot is rolled back.
const transactionLimit = 30 * time.Second

// transaction is one that fosite opened with [Store.BeginTX]; it travels in the context.
type transaction struct {
	*txQueryer
	mu      sync.Mutex
	ended   bool
	release func()
	stop    func() bool
	timer   *time.Timer
}

func newTransaction(ctx context.Context, tx *txQueryer, release func()) *transaction {
	t := &transaction{txQueryer: tx, release: release}
	abandon := func() { _ = t.end(tx.tx.Rollback) }
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = context.AfterFunc(ctx, abandon)
	t.timer = time.AfterFunc(transactionLimit, abandon)
	return t
}

// end finishes the transaction once; later calls answer sql.ErrTxDone.
func (t *transaction) end(how func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return sql.ErrTxDone
	}
	t.ended = true
	t.stop()
	t.timer.Stop()
	defer t.release()
	return how()
}

type transactionKey struct{}

func transactionFrom(ctx context.Context) *transaction {
	t, _ := ctx.Value(transactionKey{}).(*transaction)
	return t
}

// BeginTX opens a transaction and returns a context that carries it: every call of the store with that context
// takes part. End it with [Store.Commit] or [Store.Rollback]; when ctx ends first it is rolled back.
// A transaction inside a transaction is refused.
func (s *Store) BeginTX(ctx context.Context) (context.Context, error) {
	if transactionFrom(ctx) != nil {
		return nil, errors.New("storage: a transaction is already open in this context")
	}
	t, err := s.writer.begin(ctx)
	if err != nil {
		s.health.note(err)
		return nil, fmt.Errorf("storage: begin a transaction: %w", err)
	}
	return context.WithValue(ctx, transactionKey{}, t), nil
}

// Commit makes the transaction of ctx durable.
func (s *Store) Commit(ctx context.Context) error {
	t := transactionFrom(ctx)
	if t == nil {
		return errors.New("storage: commit without a transaction")
	}
	if err := t.end(func() error { return t.commit(ctx) }); err != nil {
		s.health.note(err)
		return fmt.Errorf("storage: commit: %w", err)
	}
	return nil
}

// Rollback undoes the transaction of ctx. One that has already ended is left alone: fosite also rolls back
// after a commit that failed.
func (s *Store) Rollback(ctx context.Context) error {
	t := transactionFrom(ctx)
	if t == nil {
		return errors.New("storage: rollback without a transaction")
	}
	if err := t.end(t.tx.Rollback); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("storage: roll back: %w", err)
	}
	return nil
}

// read is where to read: in the transaction of ctx, or on the pool, where reads never wait for writers.
func (s *Store) read(ctx context.Context) queryer {
	if t := transactionFrom(ctx); t != nil {
		return t
	}
	return reader{s.db}
}

// exec runs one statement, durable when it returns (or when the transaction of ctx commits), and tells how
// many rows it changed.
func (s *Store) exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	defer func() { s.health.note(err) }()
	t := transactionFrom(ctx)
	if t == nil {
		return s.writer.exec(ctx, query, args...)
	}
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// write runs fn in a transaction: that of ctx, or one of its own.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, q queryer) error) (err error) {
	defer func() { s.health.note(err) }()
	if t := transactionFrom(ctx); t != nil {
		return fn(ctx, t)
	}
	return s.writer.write(ctx, fn)
}

// InTransaction runs fn with a context that carries a transaction, and commits it when fn returns nil. A transaction
// that lost against a concurrent one is run again, so fn must start from scratch each time. Inside another
// transaction fn simply takes part in it.
func (s *Store) InTransaction(ctx context.Context, fn func(ctx context.Context) error) error {
	if transactionFrom(ctx) != nil {
		return fn(ctx)
	}
	return repeat(ctx, func() error {
		inner, err := s.BeginTX(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = s.Rollback(inner) }() // after a commit it does nothing
		if err := fn(inner); err != nil {
			return notCommitted(err)
		}
		return s.Commit(inner)
	})
}
