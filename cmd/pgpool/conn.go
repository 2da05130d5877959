package pgpool

import (
	"context"
	"database/sql/driver"
	"sync"
	"time"

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
