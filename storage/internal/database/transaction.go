package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/internal/spans"

	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
)

// transactionLimit bounds how long a transaction may stay open. On SQLite it holds up every other write, so
// one that somebody forgot is rolled back.
const transactionLimit = 30 * time.Second

// transaction is one that is open; it travels in the context.
type transaction struct {
	quiet     *gorm.DB // for statements of ours
	theirs    bool     // the host's, who ends it and need not tell us
	outer     *transaction
	savepoint string // of a transaction inside of outer
	depth     int    // of savepoints
	deferred  []any

	readsCommitted atomic.Bool // of one of theirs: known to be at that level

	// Of one that Begin has opened:
	mu      sync.Mutex
	ended   atomic.Bool
	release func()
	timer   *time.Timer
}

type transactionKey struct{}

func transactionFrom(ctx context.Context) *transaction {
	t, _ := ctx.Value(transactionKey{}).(*transaction)
	return t
}

// InTransaction tells whether ctx carries a transaction.
func InTransaction(ctx context.Context) bool { return transactionFrom(ctx) != nil }

// InHostsTransaction tells whether ctx carries one that the host ends.
func InHostsTransaction(ctx context.Context) bool {
	t := transactionFrom(ctx)
	return t != nil && t.outermost().theirs
}

func (t *transaction) outermost() *transaction {
	for t.outer != nil {
		t = t.outer
	}
	return t
}

// isOver tells whether the transaction, or one around it, has ended: what is done then would be kept, or undone, with
// something else.
func (t *transaction) isOver() bool {
	for ; t != nil; t = t.outer {
		if t.ended.Load() {
			return true
		}
	}
	return false
}

// WithTx returns a context with which every call takes part in tx, a transaction of the host's, who commits it or rolls it
// back.
func WithTx(ctx context.Context, tx *gorm.DB) context.Context {
	if tx == nil {
		tx = unusable()
	}
	t := &transaction{theirs: true, quiet: Quiet(tx)}
	if !IsTransaction(tx) && t.quiet.Error == nil {
		t.quiet.Error = errors.New("storage: WithTx was given a *gorm.DB that is in no transaction; give it the one that db.Transaction or db.Begin has made")
	}
	return context.WithValue(ctx, transactionKey{}, t)
}

// checkIsolation refuses a host's transaction on PostgreSQL that sees the database as it was at its beginning: a revocation
// in it would miss what was issued since.
func (t *transaction) checkIsolation(tx *Tx) error {
	t = t.outermost()
	if !t.theirs || t.readsCommitted.Load() || tx.Error != nil {
		return tx.Error
	}
	var level string
	if err := tx.QueryRow("SELECT current_setting('transaction_isolation')").Scan(&level); err != nil {
		return err
	}
	if level != "read committed" {
		return fmt.Errorf("storage: WithTx was given a transaction with the isolation level %s; begin it with sql.TxOptions{Isolation: sql.LevelReadCommitted}", level)
	}
	t.readsCommitted.Store(true)
	return nil
}

// begin opens a transaction. One on SQLite needs its lock, see lock.
func (d *DB) begin(ctx context.Context) (*transaction, error) {
	if d.quiet.Error != nil {
		return nil, d.quiet.Error
	}
	if len(d.wanted) > 0 {
		d.prepareWanted(ctx)
	}
	options := &sql.TxOptions{}
	if d.Postgres {
		options.Isolation = sql.LevelReadCommitted // whatever the server's default: the statements are made for it
	}
	tx := d.session(ctx, d.quiet)
	tx.DB = tx.Begin(options)
	return &transaction{quiet: tx.DB}, tx.Error
}

// lock takes the lock of writers on SQLite, unless the first statement of the transaction writes: one that reads first and
// writes later could otherwise find its snapshot outdated and fail (SQLITE_BUSY_SNAPSHOT).
func (d *DB) lock(ctx context.Context, t *transaction) error {
	if err := d.session(ctx, t.quiet).exec("DELETE FROM {grants} WHERE 0").Error; err != nil {
		return d.undo(ctx, t, err)
	}
	return nil
}

func (d *DB) rollback(ctx context.Context, t *transaction) error {
	if t.outer != nil {
		return d.rollBackTo(ctx, t)
	}
	tx := *t.quiet // which is not to remember an error
	return tx.Rollback().Error
}

// undo is err, because of which t is rolled back.
func (d *DB) undo(ctx context.Context, t *transaction, err error) error {
	if failed := d.rollback(ctx, t); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// commit ends the transaction, with what was deferred to its end.
func (d *DB) commit(ctx context.Context, t *transaction) error {
	if t.outer != nil {
		return d.release(ctx, t)
	}
	if len(t.deferred) > 0 {
		if err := d.Flush(ctx, d.session(ctx, t.quiet), t.deferred); err != nil {
			return notCommitted(d.undo(ctx, t, err))
		}
	}
	_, span := spans.Start(ctx, "COMMIT", trace.SpanKindClient)
	defer span.End()
	tx := *t.quiet
	if err := tx.Commit().Error; err != nil {
		return err
	}
	if len(t.deferred) > 0 && d.Flushed != nil {
		d.Flushed(t.deferred)
	}
	return nil
}

// Defer keeps item for the end of the transaction of ctx, which Flush ends with what was kept. The end of a host's
// transaction is not ours to know: there Flush gets it at once, and Flushed is not told.
func (d *DB) Defer(ctx context.Context, item any) error {
	t := transactionFrom(ctx)
	if t.isOver() {
		return sql.ErrTxDone
	}
	if t.theirs {
		return d.Flush(ctx, d.tx(ctx, t), []any{item})
	}
	t.deferred = append(t.deferred, item)
	return nil
}

// Begin opens a transaction and returns a context that carries it. End it with [DB.Commit] or [DB.Rollback]; when ctx ends
// first it is rolled back. Inside another transaction it is a savepoint.
func (d *DB) Begin(ctx context.Context) (inner context.Context, err error) {
	err = Repeat(ctx, func() (err error) {
		inner, err = d.beginOnce(ctx)
		return err
	})
	return inner, err
}

func (d *DB) beginOnce(ctx context.Context) (context.Context, error) {
	if d.quiet.Error != nil {
		return nil, d.quiet.Error
	}
	if outer := transactionFrom(ctx); outer != nil {
		return d.beginInside(ctx, outer)
	}
	t, release, err := d.beginInTurn(ctx)
	if err != nil {
		d.Note(err)
		return nil, notCommitted(fmt.Errorf("storage: begin a transaction: %w", err))
	}
	abandon := func() { _ = t.end(ctx, d.rollback) }
	t.mu.Lock()
	defer t.mu.Unlock()
	stop := context.AfterFunc(ctx, abandon)
	t.timer = time.AfterFunc(transactionLimit, abandon)
	t.release = func() {
		stop()
		t.timer.Stop()
		release()
	}
	return context.WithValue(ctx, transactionKey{}, t), nil
}

// beginInTurn is begin when it is this caller's turn to write; release ends the turn. On PostgreSQL nobody has to wait.
func (d *DB) beginInTurn(ctx context.Context) (t *transaction, release func(), err error) {
	if d.Postgres {
		t, err = d.begin(ctx)
		return t, func() {}, err
	}
	_, span := spans.Start(ctx, "wait to write", trace.SpanKindInternal)
	select {
	case d.group.turn <- struct{}{}:
		span.End()
	case <-ctx.Done():
		span.End()
		return nil, nil, ctx.Err()
	}
	release = func() { <-d.group.turn }
	begun := false
	defer func() {
		if !begun { // or a host's callback has panicked
			release()
		}
	}()
	if t, err = d.begin(ctx); err == nil {
		err = d.lock(ctx, t)
	}
	begun = err == nil
	return t, release, err
}

// end finishes a transaction once; later calls answer sql.ErrTxDone.
func (t *transaction) end(ctx context.Context, how func(ctx context.Context, t *transaction) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended.Swap(true) {
		return sql.ErrTxDone
	}
	if t.release != nil {
		defer t.release()
	}
	return how(ctx, t)
}

// Commit makes the transaction that [DB.Begin] has put into ctx durable, or what it did a part of the transaction around it.
func (d *DB) Commit(ctx context.Context) error {
	t := transactionFrom(ctx)
	if t == nil || t.theirs {
		return errors.New("storage: commit without a transaction")
	}
	if err := t.end(ctx, d.commit); err != nil {
		d.Note(err)
		return fmt.Errorf("storage: commit: %w", err)
	}
	return nil
}

// Rollback undoes the transaction that [DB.Begin] has put into ctx. One that has already ended is left alone: fosite also
// rolls back after a commit that failed.
func (d *DB) Rollback(ctx context.Context) error {
	t := transactionFrom(ctx)
	if t == nil || t.theirs {
		return errors.New("storage: rollback without a transaction")
	}
	if err := t.end(ctx, d.rollback); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("storage: roll back: %w", err)
	}
	return nil
}
