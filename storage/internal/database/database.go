// Package database is a host's *gorm.DB as all parts of the store use it. Their statements go through its callbacks, in the
// transaction of the context, or in one that is durable when the call returns.
package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"fosite-mcp/storage/internal/model"

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
		db = broken()
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
// without them.
type quietLogger struct{ logger.Interface }

// LogMode implements [logger.Interface].
func (l quietLogger) LogMode(level logger.LogLevel) logger.Interface {
	return quietLogger{l.Interface.LogMode(level)}
}

// ParamsFilter implements [gorm.ParamsFilter].
func (quietLogger) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// Postgres tells PostgreSQL from SQLite.
func (d *DB) Postgres() bool { return d.postgres }

// Host is the database that New was given.
func (d *DB) Host() *gorm.DB { return d.host }

// Err is why the database cannot be used, or nil.
func (d *DB) Err() error { return d.quiet.Error }

// Tx runs statements on the pool or in a transaction, by the methods of GORM and by those below. It may be used again and
// again.
type Tx struct {
	*gorm.DB
	db *DB
}

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
	}
	return tx
}

// ending is tx for the statements that end a transaction.
func (d *DB) ending(ctx context.Context, t *transaction) *Tx {
	return &Tx{session(ctx, t.quiet, t.quiet.Statement.ConnPool), d}
}

// session is db.WithContext(ctx) on pool, of which every statement is a new one. GORM's own session copies the whole
// configuration, several times for each request. db is one that GORM has made with NewDB.
func session(ctx context.Context, db *gorm.DB, pool gorm.ConnPool) *gorm.DB {
	s := *db
	s.Statement = &gorm.Statement{DB: &s, ConnPool: pool, Context: ctx}
	return &s
}

// Postgres tells PostgreSQL from SQLite.
func (tx *Tx) Postgres() bool { return tx.db.postgres }

// Run runs a statement in SQL of ours, see [DB.SQL], and tells how many rows it changed.
func (tx *Tx) Run(statement string, args ...any) (rows int64, err error) {
	s := tx.statement(statement, args)
	result := s.Callback().Raw().Execute(s)
	return result.RowsAffected, result.Error
}

// statement is what GORM's Raw and Exec make of SQL, without reading it once more for each of its values.
func (tx *Tx) statement(text string, args []any) *gorm.DB {
	s := tx.Clauses() // none: a new statement
	text = tx.db.SQL(text)
	s.Statement.SQL.Grow(len(text))
	s.Statement.SQL.WriteString(text)
	s.Statement.Vars = args
	tx.db.wantPrepared(s.Statement.ConnPool, text)
	return s
}

// Query reads rows with SQL of ours. Outside of a transaction it must not write: behind a pooler of connections, a pool asks
// for a durable commit in Run only.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return tx.statement(query, args).Rows()
}

// QueryRow reads one row with SQL of ours.
func (tx *Tx) QueryRow(query string, args ...any) Row {
	rows, err := tx.Query(query, args...)
	return Row{rows, err}
}

// Row is the first of some rows.
type Row struct {
	rows *sql.Rows
	err  error
}

// Scan reads the row and closes it. It answers [sql.ErrNoRows] where there is none.
func (r Row) Scan(targets ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return cmp.Or(r.rows.Err(), sql.ErrNoRows)
	}
	if err := r.rows.Scan(targets...); err != nil {
		return err
	}
	return r.rows.Close()
}

var tableInBraces = regexp.MustCompile(`\{(\w+)\}`)

// SQL is text with the host's names: tables are written in braces, {access_tokens}, by the names that they have by default.
// Values are ? on both engines, which stands nowhere else.
//
// A join says CAST(? AS TEXT) or CAST(? AS BLOB) for the key it looks up. Without the cast SQLite plans the statement
// anew each time that a value is bound, because the value might change the plan, which costs ten times the look-up.
func (d *DB) SQL(text string) string {
	if known, ok := d.texts.Load(text); ok {
		return known.(string)
	}
	named := tableInBraces.ReplaceAllStringFunc(text, func(name string) string { return d.Table(strings.Trim(name, "{}")) })
	if d.postgres {
		named = numbered(strings.ReplaceAll(named, " AS BLOB)", " AS BYTEA)"))
	}
	d.texts.Store(text, named)
	return named
}

// numbered turns ? into $1, $2, …
func numbered(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// Table is the host's name of a table, quoted.
func (d *DB) Table(name string) string { return d.quiet.Statement.Quote(d.names[name]) }

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

// Qualified puts a table's alias before each of columns.
func Qualified(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = alias + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}
