// Package database runs the statements of all parts of the store on a host's *gorm.DB, through its callbacks. They run in the
// transaction of the context, or in one that is durable when the call returns.
package database

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"fosite-mcp/storage/internal/model"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// DB is the host's database. Make one with [New]; it is safe for concurrent use.
type DB struct {
	host      *gorm.DB              // transactions that are handed out are begun here
	quiet     *gorm.DB              // for statements of ours; its Error is why the database cannot be used
	reads     *gorm.DB              // for reads of ours outside of a transaction
	statement *gorm.DB              // to copy for a statement of ours: GORM has begun it
	Postgres  bool                  // not SQLite
	group     *Turns[write]         // SQLite's; PostgreSQL runs writes concurrently
	failure   atomic.Pointer[error] // of the last write that every other one would share; nil: none is known
	names     map[string]string     // by the names that they have by default
	texts     sync.Map              // SQL → the same with these names
	wanted    chan string           // SQL to compile before the next transaction, see prepareWanted

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
	d := &DB{
		host: db.Session(&gorm.Session{NewDB: true}), quiet: Quiet(db), Postgres: db.Name() == "postgres",
		names: model.TableNames(db.NamingStrategy), wanted: make(chan string, 64),
	}
	d.quiet.Error = err
	d.statement = d.quiet.Clauses() // none
	d.reads = d.session(context.Background(), d.quiet).DB
	if d.Postgres {
		d.reads.Statement.ConnPool = repeatingPool{d.quiet.Statement.ConnPool}
	}
	d.group = NewTurns(groupTimeout, 1, d.commitTogether)
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

// unusable stands for a database that New cannot use. The caller adds the error with which every statement fails.
func unusable() *gorm.DB {
	db, err := gorm.Open(noDialector{}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		panic(err) // the dialector does nothing that could fail
	}
	return db
}

type noDialector struct{ gorm.Dialector }

func (noDialector) Name() string                         { return "none" }
func (noDialector) Initialize(*gorm.DB) error            { return nil }
func (noDialector) QuoteTo(w clause.Writer, name string) { _, _ = w.WriteString(name) }

// Host is the database that New was given.
func (d *DB) Host() *gorm.DB { return d.host }

// Err is why the database cannot be used, or nil.
func (d *DB) Err() error { return d.quiet.Error }
