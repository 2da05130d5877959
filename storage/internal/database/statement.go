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
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"fosite-mcp/storage/internal/model"
)

// Tx runs statements on the pool or in a transaction, by the methods of GORM and by those below. It may be used again and
// again.
type Tx struct {
	*gorm.DB
	db      *DB
	primary bool // a replica may not know of a revocation yet
}

// Read is where to read: in the transaction of ctx, or on the pool, where reads never wait for writers. There, a read
// whose connection was lost is repeated.
func (d *DB) Read(ctx context.Context) *Tx {
	if t := transactionFrom(ctx); t != nil {
		return d.tx(ctx, t)
	}
	tx := d.session(ctx, d.reads)
	if tx.primary = d.hasReplicas(); tx.primary {
		tx.DB = toPrimary(tx.DB).Session(&gorm.Session{})
	}
	return tx
}

// hasReplicas tells whether GORM sends reads to other servers, where it is not told otherwise.
func (d *DB) hasReplicas() bool {
	_, ok := d.host.Plugins["gorm:db_resolver"]
	return ok
}

func toPrimary(db *gorm.DB) *gorm.DB { return db.Set("gorm:db_resolver:write", struct{}{}) }

// tx runs statements in t, which may have ended or be the host's.
func (d *DB) tx(ctx context.Context, t *transaction) *Tx {
	tx := d.session(ctx, t.quiet)
	switch {
	case d.quiet.Error != nil:
		tx.Error = d.quiet.Error
	case t.isOver():
		tx.Error = sql.ErrTxDone
	case d.Postgres && !tx.DryRun:
		tx.Error = t.checkIsolation(tx)
	}
	return tx
}

// instance is what GORM makes for a chain of calls, and for each of its statements.
type instance struct {
	Tx
	db        gorm.DB
	statement gorm.Statement
}

// instance is a copy of db that runs with the settings of of. GORM's own ways to one copy the whole configuration, several
// times for each request.
func (d *DB) instance(ctx context.Context, db, of *gorm.DB) *instance {
	i := &instance{db: *db}
	i.db.Config, i.db.Error, i.db.Statement = of.Config, of.Error, &i.statement
	i.statement.DB, i.statement.ConnPool, i.statement.Context = &i.db, of.Statement.ConnPool, ctx
	i.Tx = Tx{DB: &i.db, db: d}
	return i
}

// session is db.WithContext(ctx), of which every statement is a new one. db is one that GORM has made with NewDB.
func (d *DB) session(ctx context.Context, db *gorm.DB) *Tx { return &d.instance(ctx, db, db).Tx }

// Run runs a statement in SQL of ours, see [DB.SQL], and tells how many rows it changed.
func (tx *Tx) Run(statement string, args ...any) (rows int64, err error) {
	result := tx.exec(statement, args...)
	return result.RowsAffected, result.Error
}

func (tx *Tx) exec(text string, args ...any) *gorm.DB {
	s := tx.db.newStatement(tx.Statement.Context, tx.DB, tx.primary, text, args)
	return s.Callback().Raw().Execute(s)
}

// newStatement is what GORM's Raw and Exec make of SQL, without reading it once more for each of its values. It runs with the
// settings of of.
func (d *DB) newStatement(ctx context.Context, of *gorm.DB, primary bool, text string, args []any) *gorm.DB {
	s := &d.instance(ctx, d.statement, of).db
	if primary {
		s = toPrimary(s)
	}
	text = d.SQL(text)
	s.Statement.Clauses = map[string]clause.Clause{}
	s.Statement.SQL.WriteString(text)
	s.Statement.Vars = args
	if pool, ok := s.Statement.ConnPool.(*gorm.PreparedStmtTX); ok && !d.Postgres {
		if known, ok := pool.PreparedStmtDB.Stmts.Get(text); !ok || known.Transaction {
			select {
			case d.wanted <- text:
			default: // the next transaction that runs it tries again
			}
		}
	}
	return s
}

// Query reads rows with SQL of ours, where [DB.Read] does. Outside of a transaction it must not write: behind a pooler of
// connections, a pool asks for a durable commit in Run only.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if t := transactionFrom(ctx); t != nil {
		return d.tx(ctx, t).Query(query, args...)
	}
	return d.newStatement(ctx, d.reads, d.hasReplicas(), query, args).Rows()
}

// QueryRow reads one row with SQL of ours, where [DB.Read] does.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) Row {
	rows, err := d.Query(ctx, query, args...)
	return Row{rows, err}
}

// Query reads rows with SQL of ours.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return tx.db.newStatement(tx.Statement.Context, tx.DB, tx.primary, query, args).Rows()
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
	if d.Postgres {
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

// IndexName is the host's name of an index, or of a trigger, of a table.
func (d *DB) IndexName(table, index string) string { return model.IndexName(d.names[table], index) }

// Qualified puts a table's alias before each of columns.
func Qualified(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = alias + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
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

// Quiet is db for statements of ours.
func Quiet(db *gorm.DB) *gorm.DB {
	// QueryFields names the columns: PostgreSQL refuses a prepared SELECT * once, at each connection, after a later version has added one.
	q := db.Session(&gorm.Session{NewDB: true, SkipDefaultTransaction: true, QueryFields: true, Logger: quietLogger{db.Logger}})
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
	if err != nil {
		if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) {
			err = errors.New(err.Error())
		}
	}
	l.Interface.Trace(ctx, begin, fc, err)
}
