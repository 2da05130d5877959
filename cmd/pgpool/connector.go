package pgpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector opens connections, with the host that worked last first.
type connector struct {
	hosts      []host
	last       atomic.Int32 // index of the host that worked last
	pooler     atomic.Bool  // a pooler was met: connections go its way
	durability string       // value of synchronous_commit
	allowance  *allowance
}

// host is one server, with the way straight to it and the way through a pooler.
type host struct{ direct, pooled driver.Connector }

// Connect waits where the server has no connection left. As soon as this pool has others, it asks database/sql to wait
// for one of them instead.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var refusal error
	for {
		opened, err := c.dial(ctx)
		switch {
		case err == nil:
			return opened, nil
		case tooManyConnections(err):
			refusal = err
		case refusal == nil || ctx.Err() == nil:
			return nil, err
		}
		if c.allowance.refused() {
			return nil, driver.ErrBadConn // database/sql tries again, and now waits in line
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (while waiting for a connection: %w)", refusal, ctx.Err())
		case <-time.After(time.Duration(20+rand.IntN(40)) * time.Millisecond):
		}
	}
}

// dial tries the hosts in turn.
func (c *connector) dial(ctx context.Context) (driver.Conn, error) {
	var errs []error
	first := int(c.last.Load())
	for i := range c.hosts {
		at := (first + i) % len(c.hosts)
		opened, err := c.dialHost(ctx, c.hosts[at])
		if err == nil {
			c.last.Store(int32(at))
			return opened, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (c *connector) dialHost(ctx context.Context, h host) (driver.Conn, error) {
	if !c.pooler.Load() {
		opened, err := h.direct.Connect(ctx)
		if err == nil {
			return newConn(opened.(*stdlib.Conn), c.allowance), nil
		}
		if !metPooler(err) {
			return nil, err
		}
	}
	opened, err := h.pooled.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c.pooler.Store(true)
	return &pooledConn{newConn(opened.(*stdlib.Conn), c.allowance), c.durability}, nil
}

// Driver is what [sql.DB.Driver] returns.
func (c *connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Close is called with that of the pool.
func (c *connector) Close() error {
	c.allowance.stop()
	return nil
}

// metPooler recognises PgBouncer, which refuses settings of the session that it does not know.
func metPooler(err error) bool {
	return errors.Is(err, errPooler) || anyAnswer(err, func(answer *pgconn.PgError) bool {
		return strings.HasPrefix(answer.Message, "unsupported startup parameter")
	})
}

// tooManyConnections recognises a server, a role, a database or a pooler whose connections are all taken.
func tooManyConnections(err error) bool {
	return anyAnswer(err, func(answer *pgconn.PgError) bool {
		return answer.Code == "53300" || strings.HasPrefix(answer.Message, "no more connections allowed") // PgBouncer
	})
}

// anyAnswer tells whether one of the servers whose answers err joins gave such a one.
func anyAnswer(err error, such func(*pgconn.PgError) bool) bool {
	switch e := err.(type) {
	case *pgconn.PgError:
		return such(e)
	case interface{ Unwrap() error }:
		return anyAnswer(e.Unwrap(), such)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(err error) bool { return anyAnswer(err, such) })
	}
	return false
}
