package pgpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// conn is a connection that is not used again once it is dead.
type conn struct {
	*stdlib.Conn
	socket  *socket
	used    time.Time
	release func()
}

func newConn(c *stdlib.Conn, a *allowance) *conn {
	a.granted()
	return &conn{
		Conn: c, socket: newSocket(c.Conn().PgConn().Conn()), used: time.Now(),
		release: sync.OnceFunc(func() { a.open.Add(-1) }),
	}
}

// An answer to a ping takes no longer than this from a server that is there.
const (
	pingAfter = time.Second
	pingLimit = 2 * time.Second
)

// ResetSession is called before a connection is used again. A server that has gone has said so in the meantime: then
// there is something to read, where a connection that nobody uses should be silent.
func (c *conn) ResetSession(ctx context.Context) error {
	now := time.Now()
	if now.Sub(c.used) > pingAfter || !c.socket.silent() {
		ctx, cancel := context.WithTimeout(ctx, pingLimit)
		defer cancel()
		if c.Ping(ctx) != nil {
			return driver.ErrBadConn
		}
	}
	c.used = now
	return c.Conn.ResetSession(ctx)
}

// IsValid keeps a connection that has been closed out of the pool.
func (c *conn) IsValid() bool { return !c.Conn.Conn().IsClosed() }

// Close ends the connection.
func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// pooledConn is a connection to a pooler, PgBouncer for instance, which may serve each transaction by another session of
// PostgreSQL. Nothing outlives a transaction there: statements are not prepared for later, and each transaction that
// writes asks by itself for a durable commit, without a further round trip.
type pooledConn struct {
	*conn
	durability string // value of synchronous_commit
}

// ExecContext runs one statement, in a transaction of its own unless one is open: the statements of a batch share it.
func (c *pooledConn) ExecContext(ctx context.Context, query string, named []driver.NamedValue) (driver.Result, error) {
	db := c.Conn.Conn()
	if db.IsClosed() || db.PgConn().TxStatus() != 'I' {
		return c.Conn.ExecContext(ctx, query, named)
	}
	args := make([]any, len(named))
	for i, n := range named {
		args[i] = n.Value
	}
	batch := new(pgx.Batch)
	batch.Queue("SELECT set_config($1, $2, true)", synchronousCommit, c.durability)
	batch.Queue(query, args...)
	results := db.SendBatch(ctx, batch)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	if closeErr := results.Close(); err == nil {
		err = closeErr // the commit comes last
	}
	if err != nil && pgconn.SafeToRetry(err) {
		return nil, driver.ErrBadConn
	}
	return driver.RowsAffected(tag.RowsAffected()), err
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
