package storage

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"
)

// queryer runs one statement: on the pool, or inside a transaction. Statements use ? as placeholder. Outside of a
// transaction a write goes through ExecContext and never through QueryContext: behind a pooler of connections, a pool
// asks for a durable commit there.
//
// A join says CAST(? AS TEXT) or CAST(? AS BLOB) for the key it looks up. Without the cast SQLite plans the statement
// anew each time that a value is bound, because the value might change the plan, which costs ten times the look-up.
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
	wanted   sync.Map // queries to compile before the next transaction
	audited  func(AuditEvent)
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
		text := forPostgres(query)
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

// compileWanted compiles what transactions had to run uncompiled. Compiling takes a connection of its own, which a
// pool of one cannot give while a transaction is open.
func (d *database) compileWanted(ctx context.Context) {
	d.wanted.Range(func(query, _ any) bool {
		d.wanted.Delete(query)
		d.statement(ctx, query.(string))
		return true
	})
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
	options := &sql.TxOptions{}
	if d.postgres {
		options.Isolation = sql.LevelReadCommitted // whatever the server's default: the statements are made for it
	} else {
		d.compileWanted(ctx)
	}
	tx, err := d.pool.BeginTx(ctx, options)
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
	tx     *sql.Tx
	db     *database
	events []AuditEvent // to be chained at the end
}

// statement is like that of the database, but takes no second connection.
func (t *txQueryer) statement(ctx context.Context, query string) (stmt *sql.Stmt, text string) {
	if _, compiled := t.db.compiled.Load(query); compiled || t.db.postgres {
		return t.db.statement(ctx, query)
	}
	t.db.wanted.Store(query, nil)
	return nil, query
}

func (t *txQueryer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, text := t.statement(ctx, query)
	if stmt != nil {
		return t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, text, args...)
}

func (t *txQueryer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, text := t.statement(ctx, query)
	if stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, text, args...)
}

func (t *txQueryer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, text := t.statement(ctx, query)
	if stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return t.tx.QueryRowContext(ctx, text, args...)
}

// forPostgres turns ? into $1, $2, … and SQLite's name of the byte string type into PostgreSQL's. The statements of
// this package hold no ? inside literals.
func forPostgres(query string) string {
	query = strings.ReplaceAll(query, " AS BLOB)", " AS BYTEA)")
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
