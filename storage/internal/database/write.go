package database

import (
	"context"
	"errors"
	"time"

	"fosite-mcp/internal/spans"

	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
)

// Writes are durable when they return. On SQLite, which has one writer at a time and pays for each durable commit, they take
// turns, and those that arrive while a commit is under way share the next one. On PostgreSQL they run concurrently, and those
// that lose against another one are repeated.

// write is what one caller on SQLite writes. ctx is the caller's.
type write struct {
	ctx    context.Context
	fn     func(ctx context.Context, tx *Tx) error
	atOnce bool // the first statement of fn writes
}

// groupTimeout bounds a commit in time.
const groupTimeout = 30 * time.Second

// Write runs fn in a transaction, that of ctx or one of its own, which is durable when Write returns. fn may run more than
// once, so it must start from scratch each time; an error of its own rolls back what it did.
func (d *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return d.write(write{ctx, fn, false})
}

// WriteAtOnce is Write where the first statement of fn writes, which spares SQLite the one that takes the lock.
func (d *DB) WriteAtOnce(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return d.write(write{ctx, fn, true})
}

func (d *DB) write(w write) error {
	ctx := w.ctx
	t, err := transactionFrom(ctx), d.quiet.Error
	run := func(ctx context.Context, t *transaction) error { return w.fn(ctx, d.tx(ctx, t)) }
	switch {
	case err != nil:
	case t != nil:
		err = d.within(ctx, t, run)
	case d.Postgres:
		err = Repeat(ctx, func() error { return d.enclosed(ctx, run) })
	default:
		err = d.inGroup(w)
	}
	if err != nil {
		d.Note(err)
	}
	return err
}

// Exec is Write for one statement of GORM's, and tells how many rows it changed. On PostgreSQL it needs no transaction.
func (d *DB) Exec(ctx context.Context, statement func(tx *Tx) *gorm.DB) (rows int64, err error) {
	run := func(_ context.Context, tx *Tx) error {
		result := statement(tx)
		rows = result.RowsAffected
		return result.Error
	}
	t := transactionFrom(ctx)
	switch {
	case t != nil:
		err = run(ctx, d.tx(ctx, t))
	case d.Postgres:
		err = Repeat(ctx, func() error { return run(ctx, d.session(ctx, d.quiet)) })
	default:
		err = d.inGroup(write{ctx, run, true})
	}
	if err != nil {
		d.Note(err)
	}
	return rows, err
}

// Run is Exec for SQL of ours.
func (d *DB) Run(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	return d.Exec(ctx, func(tx *Tx) *gorm.DB { return tx.exec(statement, args...) })
}

// inGroup has w committed with the writes of others.
func (d *DB) inGroup(w write) error {
	ctx, span := spans.Start(w.ctx, "group commit", trace.SpanKindInternal)
	defer span.End()
	w.ctx = ctx
	return d.group.Do(ctx, w)
}

// commitTogether makes the writes of several callers in one transaction.
func (d *DB) commitTogether(ctx context.Context, group []*Job[write]) {
	together := spans.Group{Size: len(group)}
	for _, w := range group {
		together.Add(w.What.ctx)
	}
	ctx = together.Context(ctx)
	t, err := d.begin(ctx)
	if err == nil && !group[0].What.atOnce {
		err = d.lock(ctx, t)
	}
	if err == nil {
		// The transaction ends with ctx, and a statement does not: drivers run each one that can be ended on a goroutine of its own.
		inTx := context.WithValue(context.WithoutCancel(ctx), transactionKey{}, t)
		err = d.runAll(inTx, t, group)
		switch {
		case err == nil:
			err = d.commit(inTx, t)
		case len(group) == 1, isLocked(err): // a lock all of them would wait for
			err = d.undo(inTx, t, err)
		default: // one has taken the others with it: each by itself, so that each gets its own answer
			_ = d.rollback(inTx, t)
			for i := range group { // within the limit of the group
				d.commitTogether(ctx, group[i:i+1])
			}
			return
		}
	}
	for _, w := range group {
		w.Done <- err
	}
}

// runAll runs the writes of group in t. A panic becomes an error: it happens on the goroutine of whoever commits, not of
// whoever wrote.
func (d *DB) runAll(ctx context.Context, t *transaction, group []*Job[write]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("storage: a write panicked")
		}
	}()
	for _, w := range group {
		ctx := memberContext{ctx, w.What.ctx}
		if err := w.What.fn(ctx, d.session(ctx, t.quiet)); err != nil {
			return err
		}
	}
	return nil
}

// memberContext ends with the group, if that may end, because the end of one caller must not undo it. It has the values of the caller.
type memberContext struct {
	context.Context
	caller context.Context
}

// Value implements [context.Context].
func (c memberContext) Value(key any) any {
	if _, ours := key.(transactionKey); ours {
		return c.Context.Value(key)
	}
	return c.caller.Value(key)
}

// InTransaction runs fn in a transaction, which is committed when fn returns nil. One that lost against a concurrent one is
// run again, so fn must start from scratch each time. tx is for rows of the host's. In a transaction of ours fn simply
// takes part; in one of the host's it runs in a savepoint.
func (d *DB) InTransaction(ctx context.Context, fn func(ctx context.Context, tx *gorm.DB) error) error {
	forHost := func(ctx context.Context, t *transaction) error {
		tx := d.session(ctx, d.host) // with the host's own logger and settings
		tx.Statement.ConnPool = t.quiet.Statement.ConnPool
		return fn(ctx, tx.DB)
	}
	if t := transactionFrom(ctx); t != nil {
		return d.within(ctx, t, forHost)
	}
	return Repeat(ctx, func() error { return d.enclosed(ctx, forHost) })
}

// within runs fn in t: all of it or, in a transaction that the host may commit all the same, nothing. The host alone could
// begin again.
func (d *DB) within(ctx context.Context, t *transaction, fn func(ctx context.Context, t *transaction) error) error {
	if t.theirs {
		return d.enclosed(ctx, fn)
	}
	return fn(ctx, t)
}

// enclosed runs fn between Begin and Commit, once.
func (d *DB) enclosed(ctx context.Context, fn func(ctx context.Context, t *transaction) error) error {
	inner, err := d.beginOnce(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = d.Rollback(inner) }() // after a commit it does nothing
	if err := fn(inner, transactionFrom(inner)); err != nil {
		return notCommitted(err)
	}
	return d.Commit(inner)
}
