// Package database runs the statements of all parts of the store on a host's *gorm.DB, through its callbacks. They run in the
// transaction of the context, or in one that is durable when the call returns.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/storage/internal/model"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// DB is the host's database. Make one with [New]; it is safe for concurrent use.
type DB struct {
	host     *gorm.DB // transactions that are handed out are begun here
	quiet    *gorm.DB // for statements of ours
	postgres bool
	writer   writer
	failure  atomic.Pointer[error] // of the last write that every other one would share; nil: none is known
	names    map[string]string     // by the names that they have by default
	texts    sync.Map              // SQL → the same with these names
	wanted   sync.Map              // SQL to compile before the next transaction

	// Flush ends a transaction: it gets what was given to Defer in it. Flushed is told of it after the commit.
	Flush   func(ctx context.Context, tx *Tx, deferred []any) error
	Flushed func(deferred []any)
}

// New uses db. One that cannot be used makes every call fail with the reason.
func New(db *gorm.DB) *DB { return open(db, usable(db)) }

// Failing stands for a database that is not there: every call fails with err.
func Failing(err error) *DB { return open(nil, err) }

func open(db *gorm.DB, err error) *DB {
	if err != nil {
		db = unusable()
	}
	d := &DB{host: db.Session(&gorm.Session{NewDB: true}), quiet: Quiet(db), postgres: db.Name() == "postgres", names: model.TableNames(db.NamingStrategy)}
	d.quiet.Error = err
	if d.postgres {
		d.writer = &directWriter{db: d}
	} else {
		d.writer = newGroupWriter(d)
	}
	return d
}

func usable(db *gorm.DB) error {
	switch {
	case db == nil:
		return errors.New("storage: New was given no database")
	case db.Error != nil:
		return fmt.Errorf("storage: the database was opened with an error: %w", db.Error)
	case db.Name() != "sqlite" && db.Name() != "postgres":
		return fmt.Errorf("storage: the %q dialect is not supported; use SQLite or PostgreSQL", db.Name())
	case IsTransaction(db):
		return errors.New("storage: New was given a transaction; give it the database, and the transaction to the calls that take part in it: ctx = storage.WithTx(ctx, tx)")
	}
	return nil
}

// IsTransaction tells whether db is a transaction.
func IsTransaction(db *gorm.DB) bool {
	_, ok := db.Statement.ConnPool.(gorm.TxCommitter)
	return ok
}

// Quiet is db for statements of ours.
func Quiet(db *gorm.DB) *gorm.DB {
	q := db.Session(&gorm.Session{NewDB: true, SkipDefaultTransaction: true, Logger: quietLogger{db.Logger}})
	q.Config.TranslateError = false // what became of a statement is read from the driver's own errors
	return q
}

// quietLogger is the host's logger for statements whose values are hashes of tokens and secrets: it gets the statements
// and their errors without them.
type quietLogger struct{ logger.Interface }

// LogMode implements [logger.Interface].
func (l quietLogger) LogMode(level logger.LogLevel) logger.Interface {
	return quietLogger{l.Interface.LogMode(level)}
}

// ParamsFilter implements [gorm.ParamsFilter].
func (quietLogger) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// Trace implements [logger.Interface]. An error of PostgreSQL's has the values of the row in its fields, and in its text none.
func (l quietLogger) Trace(ctx context.Context, begin time.Time, fc func() (sql string, rows int64), err error) {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		err = errors.New(err.Error())
	}
	l.Interface.Trace(ctx, begin, fc, err)
}

// Postgres tells PostgreSQL from SQLite.
func (d *DB) Postgres() bool { return d.postgres }

// Host is the database that New was given.
func (d *DB) Host() *gorm.DB { return d.host }

// Err is why the database cannot be used, or nil.
func (d *DB) Err() error { return d.quiet.Error }

// Read is where to read: in the transaction of ctx, or on the pool, where reads never wait for writers. There, a read
// whose connection was lost is repeated.
func (d *DB) Read(ctx context.Context) *Tx {
	if t := transactionFrom(ctx); t != nil {
		return d.tx(ctx, t)
	}
	pool := d.quiet.Statement.ConnPool
	if d.postgres {
		pool = repeatingPool{pool}
	}
	s := session(ctx, d.quiet, pool)
	if _, ok := d.host.Plugins["gorm:db_resolver"]; ok { // a replica may not know of a revocation yet
		s = s.Set("gorm:db_resolver:write", struct{}{}).Session(&gorm.Session{})
	}
	return &Tx{s, d}
}

// tx runs statements in t.
func (d *DB) tx(ctx context.Context, t *transaction) *Tx {
	tx := d.ending(ctx, t)
	switch {
	case d.Err() != nil:
		tx.Error = d.Err()
	case t.isOver():
		tx.Error = sql.ErrTxDone
	case d.postgres && !tx.DryRun:
		tx.Error = t.checkIsolation(tx)
	}
	return tx
}

// ending is tx for the statements that end a transaction.
func (d *DB) ending(ctx context.Context, t *transaction) *Tx {
	return &Tx{session(ctx, t.quiet, t.quiet.Statement.ConnPool), d}
}

// Write runs fn in a transaction, that of ctx or one of its own, which is durable when Write returns. fn may run more than
// once, so it must start from scratch each time; an error of its own rolls back what it did.
func (d *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	defer func() { d.Note(err) }()
	if err := d.Err(); err != nil {
		return err
	}
	if t := transactionFrom(ctx); t != nil {
		return d.within(ctx, t, func(ctx context.Context, t *transaction) error { return fn(ctx, d.tx(ctx, t)) })
	}
	return d.writer.write(ctx, fn)
}

// Exec is Write for one statement of GORM's, and tells how many rows it changed.
func (d *DB) Exec(ctx context.Context, statement func(tx *Tx) *gorm.DB) (rows int64, err error) {
	return d.one(ctx, func(tx *Tx) (int64, error) {
		result := statement(tx)
		return result.RowsAffected, result.Error
	})
}

// Run is Write for one statement in SQL of ours, and tells how many rows it changed.
func (d *DB) Run(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	return d.one(ctx, func(tx *Tx) (int64, error) { return tx.Run(statement, args...) })
}

func (d *DB) one(ctx context.Context, statement func(tx *Tx) (int64, error)) (rows int64, err error) {
	defer func() { d.Note(err) }()
	if t := transactionFrom(ctx); t != nil {
		return statement(d.tx(ctx, t))
	}
	return d.writer.one(ctx, statement)
}

// FindOne is the first row that query finds, or nil. what says what is done, see [Wrap].
func FindOne[T any](query *gorm.DB, what string) (*T, error) {
	var row T
	found := query.Limit(1).Find(&row)
	if found.Error != nil || found.RowsAffected == 0 {
		return nil, Wrap(found.Error, what)
	}
	return &row, nil
}

// MustChange is the error of a statement that has to change a row, none if it changed nothing.
func MustChange(rows int64, err error, what string, none error) error {
	if err == nil && rows == 0 {
		return none
	}
	return Wrap(err, what)
}

// Wrap says what failed with err. It is nil if err is.
func Wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("storage: %s: %w", what, err)
}
