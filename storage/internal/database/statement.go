package database

import (
	"cmp"
	"context"
	"database/sql"
	"regexp"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// Tx runs statements on the pool or in a transaction, by the methods of GORM and by those below. It may be used again and
// again.
type Tx struct {
	*gorm.DB
	db *DB
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

// Qualified puts a table's alias before each of columns.
func Qualified(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = alias + "." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}
