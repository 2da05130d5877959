package storage

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"

	"gorm.io/gorm"
)

// queryer runs one statement: on the pool, or inside a transaction. Statements use ? as placeholder.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// database is the connection pool with what the few hot statements need: on SQLite a statement is compiled once
// and kept; on PostgreSQL the driver does that itself and wants $1 for ?.
type database struct {
	pool     *sql.DB
	postgres bool
	compiled sync.Map // query → *sql.Stmt (SQLite) or string (PostgreSQL)
}

func newDatabase(pool *sql.DB, dialect string, err error) *database {
	if err != nil {
		pool = sql.OpenDB(failingConnector{err})
	}
	return &database{pool: pool, postgres: dialect == "postgres"}
}

// statement returns query as this engine wants it; stmt is nil on PostgreSQL and where compiling failed, so
// that the error surfaces from running it.
func (d *database) statement(ctx context.Context, query string) (stmt *sql.Stmt, text string) {
	if cached, ok := d.compiled.Load(query); ok {
		if stmt, ok := cached.(*sql.Stmt); ok {
			return stmt, query
		}
		return nil, cached.(string)
	}
	if d.postgres {
		text := numberPlaceholders(query)
		d.compiled.Store(query, text)
		return nil, text
	}
	stmt, err := d.pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, query
	}
	if earlier, loaded := d.compiled.LoadOrStore(query, stmt); loaded {
		_ = stmt.Close()
		return earlier.(*sql.Stmt), query
	}
	return stmt, query
}

func (d *database) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, text := d.statement(ctx, query)
	if stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return d.pool.ExecContext(ctx, text, args...)
}

func (d *database) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, text := d.statement(ctx, query)
	if stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return d.pool.QueryContext(ctx, text, args...)
}

func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, text := d.statement(ctx, query)
	if stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return d.pool.QueryRowContext(ctx, text, args...)
}

// begin opens a transaction. On SQLite it takes the write lock at once: a transaction that reads first and
// writes later could otherwise find its snapshot outdated and fail (SQLITE_BUSY_SNAPSHOT).
func (d *database) begin(ctx context.Context) (*txQueryer, error) {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	t := &txQueryer{tx: tx, db: d}
	if !d.postgres {
		if _, err := t.ExecContext(ctx, "DELETE FROM settings WHERE 0"); err != nil {
			_ = tx.Rollback()
			return nil, err
		}
	}
	return t, nil
}

// txQueryer runs statements inside one transaction.
type txQueryer struct {
	tx *sql.Tx
	db *database
}

func (t *txQueryer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, text := t.db.statement(ctx, query)
	if stmt != nil {
		return t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, text, args...)
}

func (t *txQueryer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, text := t.db.statement(ctx, query)
	if stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, text, args...)
}

func (t *txQueryer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, text := t.db.statement(ctx, query)
	if stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return t.tx.QueryRowContext(ctx, text, args...)
}

// numberPlaceholders turns ? into $1, $2, … The statements of this package hold no ? inside literals.
func numberPlaceholders(query string) string {
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// orm is db bound to q: GORM for the statements that are not hot.
func orm(ctx context.Context, db *gorm.DB, q queryer) *gorm.DB {
	session := db.Session(&gorm.Session{NewDB: true, Context: ctx})
	if t, ok := q.(*txQueryer); ok {
		session.Statement.ConnPool = t.tx
	}
	return session
}
