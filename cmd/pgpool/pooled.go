package pgpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pooledConn is a connection to a pooler, PgBouncer for instance, which may serve each transaction by another session of
// PostgreSQL. Nothing outlives a transaction there: statements are not prepared for later, and each transaction that
// writes asks by itself for a durable commit, without a further round trip.
type pooledConn struct {
	*conn
	durability string // value of synchronous_commit
}

// ExecContext runs one statement.
func (c *pooledConn) ExecContext(ctx context.Context, query string, named []driver.NamedValue) (driver.Result, error) {
	if c.asItIs() {
		return c.Conn.ExecContext(ctx, query, named)
	}
	var tag pgconn.CommandTag
	err := c.durably(ctx, query, named, func(results pgx.BatchResults) (err error) {
		tag, err = results.Exec()
		return err
	})
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

// QueryContext runs one statement. One that may write is committed before its rows can be seen.
func (c *pooledConn) QueryContext(ctx context.Context, query string, named []driver.NamedValue) (driver.Rows, error) {
	if c.asItIs() || strings.HasPrefix(strings.TrimSpace(query), "SELECT") {
		return c.Conn.QueryContext(ctx, query, named)
	}
	found := new(answer)
	err := c.durably(ctx, query, named, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		for _, column := range rows.FieldDescriptions() {
			found.columns = append(found.columns, column.Name)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return err
			}
			found.rows = append(found.rows, values)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// asItIs tells that a statement runs as it is: in a transaction, or not at all.
func (c *pooledConn) asItIs() bool {
	return c.Conn.Conn().IsClosed() || c.Conn.Conn().PgConn().TxStatus() != 'I'
}

// durably runs a statement in a transaction of its own: those of a batch share one.
func (c *pooledConn) durably(ctx context.Context, query string, named []driver.NamedValue, read func(pgx.BatchResults) error) error {
	args := make([]any, len(named))
	for i, n := range named {
		args[i] = n.Value
	}
	batch := new(pgx.Batch)
	batch.Queue("SELECT set_config($1, $2, true)", synchronousCommit, c.durability)
	batch.Queue(query, args...)
	results := c.Conn.Conn().SendBatch(ctx, batch)
	_, err := results.Exec()
	if err == nil {
		err = read(results)
	}
	if closeErr := results.Close(); err == nil {
		err = closeErr // the commit comes last
	}
	if err != nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	return err
}

// answer holds all rows of a statement.
type answer struct {
	columns []string
	rows    [][]any
}

func (a *answer) Columns() []string { return a.columns }

func (a *answer) Close() error { return nil }

func (a *answer) Next(values []driver.Value) error {
	if len(a.rows) == 0 {
		return io.EOF
	}
	for i, value := range a.rows[0] {
		values[i] = value
	}
	a.rows = a.rows[1:]
	return nil
}

// BeginTx opens a transaction.
func (c *pooledConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	begin := "begin"
	if level := sql.IsolationLevel(options.Isolation); level != sql.LevelDefault {
		begin += " isolation level " + level.String()
	}
	if options.ReadOnly {
		begin += " read only"
	}
	begin += "; set local " + synchronousCommit + " = " + c.durability
	tx, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return nil, err
	}
	return pooledTx{ctx, tx}, nil
}

type pooledTx struct {
	ctx context.Context
	tx  pgx.Tx
}

func (t pooledTx) Commit() error   { return t.tx.Commit(t.ctx) }
func (t pooledTx) Rollback() error { return t.tx.Rollback(t.ctx) }
