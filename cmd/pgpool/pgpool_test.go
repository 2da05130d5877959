package pgpool

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is the PostgreSQL that scripts/with-postgres starts; its user may do everything.
func server(t *testing.T) (admin *sql.DB, address string) {
	t.Helper()
	address = os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if address == "" {
		t.Skip("needs a PostgreSQL server: scripts/with-postgres go test ./cmd/pgpool")
	}
	return open(t, address, 2), address
}

func open(t *testing.T, address string, limit int) *sql.DB {
	t.Helper()
	pool, err := openPool(address, &allowance{wanted: limit, probeInterval: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// limitedRole makes a role that may have n connections, and returns the URL for it.
func limitedRole(t *testing.T, n int) string {
	t.Helper()
	admin, address := server(t)
	role, password := "limited_"+strings.ToLower(rand.Text()), rand.Text()
	if _, err := admin.Exec("CREATE ROLE " + role + " LOGIN PASSWORD '" + password + "' CONNECTION LIMIT " + strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP ROLE " + role); err != nil {
			t.Error(err)
		}
	})
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parsed.User = url.UserPassword(role, password)
	return parsed.String()
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// load runs n statements, as many at once as there are workers, and returns what failed.
func load(ctx context.Context, pool *sql.DB, workers, n int) error {
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for range n / workers {
				if _, err := pool.ExecContext(ctx, "SELECT pg_sleep($1)", 0.001); err != nil {
					errs[w] = errors.Join(errs[w], err)
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func TestRequestsWaitInLineWhereARoleMayHaveFewConnections(t *testing.T) {
	for _, allowed := range []int{1, 4} {
		pool := open(t, limitedRole(t, allowed), 16)
		for range 2 {
			if err := load(soon(t), pool, 100, 200); err != nil {
				t.Fatalf("%d connections: %v", allowed, err)
			}
			if open := pool.Stats().OpenConnections; open > allowed {
				t.Errorf("%d connections are open, of %d", open, allowed)
			}
		}
	}
}

// Another process that shares the role waits for its turn, and gets it although this one could use everything.
func TestProcessesShareTheConnectionsOfARole(t *testing.T) {
	address := limitedRole(t, 2)
	greedy := open(t, address, 16)
	ctx, cancel := context.WithCancel(soon(t))
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		for ctx.Err() == nil {
			if err := load(ctx, greedy, 20, 100); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for greedy.Stats().OpenConnections < 2 {
		time.Sleep(time.Millisecond)
	}
	late, done := context.WithTimeout(ctx, 14*time.Second) // a request has 15
	defer done()
	if err := open(t, address, 16).PingContext(late); err != nil {
		t.Error(err)
	}
}

func TestPoolGrowsAgainWhenARoleMayHaveMore(t *testing.T) {
	address := limitedRole(t, 1)
	pool := open(t, address, 3)
	if err := load(soon(t), pool, 10, 10); err != nil {
		t.Fatal(err)
	}
	admin, _ := server(t)
	settings, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec("ALTER ROLE " + settings.User + " CONNECTION LIMIT 10"); err != nil {
		t.Fatal(err)
	}
	for pool.Stats().OpenConnections < 3 {
		if err := load(soon(t), pool, 10, 10); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithoutAnyConnectionTheDeadlineEndsTheWait(t *testing.T) {
	pool := open(t, limitedRole(t, 0), 16)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a busy machine takes 0.3 s to be refused
	defer cancel()
	err := pool.PingContext(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "too many connections for role") {
		t.Errorf("error %v, want the end of the wait and its cause", err)
	}
}

// Connections that died while nobody used them fail no statement, however many there are and however soon it comes.
func TestDeadConnectionsInThePoolFailNothing(t *testing.T) {
	admin, address := server(t)
	pool := open(t, address, 16)
	for range 3 {
		var pids []int32
		var held []*sql.Conn
		for range 16 {
			c, err := pool.Conn(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			var pid int32
			if err := c.QueryRowContext(soon(t), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
				t.Fatal(err)
			}
			pids, held = append(pids, pid), append(held, c)
		}
		for _, c := range held {
			if err := c.Close(); err != nil { // back to the pool
				t.Fatal(err)
			}
		}
		if _, err := admin.Exec("SELECT pg_terminate_backend(pid, 5000) FROM unnest($1::int[]) AS pid", pids); err != nil {
			t.Fatal(err)
		}
		if err := load(soon(t), pool, 20, 60); err != nil {
			t.Fatal(err)
		}
	}
}

// A connection that has died is noticed at once, however short the pause.
func TestDeadConnectionIsNoticedWithoutAPing(t *testing.T) {
	admin, address := server(t)
	c, err := open(t, address, 1).Conn(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Raw(func(driverConn any) error {
		mine := driverConn.(*conn)
		mine.used = time.Now().Add(time.Hour)
		if err := mine.ResetSession(t.Context()); err != nil {
			t.Errorf("alive: %v", err)
		}
		if _, err := admin.Exec("SELECT pg_terminate_backend($1, 5000)", int32(mine.Conn.Conn().PgConn().PID())); err != nil {
			t.Error(err)
		}
		mine.used = time.Now().Add(time.Hour) // no ping is due
		return mine.ResetSession(t.Context())
	})
	if !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("error %v, want a dead connection", err)
	}
}

// A server that has stopped to take writes is left for one that does, although its connections live on.
func TestServerThatTakesNoWritesIsLeft(t *testing.T) {
	_, address := server(t)
	pool := open(t, address, 1)
	c, err := pool.Conn(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	var before, after int32
	if err := c.QueryRowContext(soon(t), "SELECT pg_backend_pid() FROM set_config('default_transaction_read_only', 'on', false)").Scan(&before); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec("CREATE TABLE never_" + strings.ToLower(rand.Text()) + " ()"); err == nil || !strings.Contains(err.Error(), readOnlyTransaction) {
		t.Fatalf("error %v, want that the transaction is read only", err)
	}
	if err := pool.QueryRow("SELECT pg_backend_pid()").Scan(&after); err != nil || after == before {
		t.Errorf("the connection is still in use (error %v)", err)
	}
}
