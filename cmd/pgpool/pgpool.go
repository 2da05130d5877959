// Package pgpool opens the server's pool of connections to PostgreSQL. Call [Open].
//
// It is a database/sql pool on pgx that gets along with what surrounds a database: servers that allow fewer connections
// than the pool wants, PgBouncer, restarts, and a standby that takes over.
package pgpool

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Life of a connection. An idle one is given back soon, because other replicas and commands may wait for it; a busy one
// is replaced now and then, so that none stays for ever with a server that should no longer be used.
const (
	connectTimeout = 5 * time.Second
	idleTime       = 10 * time.Second
	longestLife    = 10 * time.Minute
)

// ApplicationName is what PostgreSQL calls the connections of this program, in pg_stat_activity.
const ApplicationName = "fosite-mcp"

// Open makes a pool of at most limit connections to the database that url names. It connects to nothing yet.
func Open(url string, limit int) (*sql.DB, error) {
	return openPool(url, &allowance{wanted: max(limit, 1), probeInterval: probeInterval})
}

func openPool(url string, a *allowance) (*sql.DB, error) {
	settings, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	settings.RuntimeParams["application_name"] = ApplicationName
	if settings.ConnectTimeout == 0 {
		settings.ConnectTimeout = connectTimeout
	}
	keep := settings.OnPgError
	settings.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return err.Code != readOnlyTransaction && keep(conn, err)
	}
	c := &connector{durability: "on", allowance: a}
	if settings.RuntimeParams[synchronousCommit] == "remote_apply" { // which is no less
		c.durability = "remote_apply"
	}
	delete(settings.RuntimeParams, synchronousCommit)
	for _, host := range hosts(settings) {
		c.hosts = append(c.hosts, newHost(host, c.durability))
	}
	pool := sql.OpenDB(c)
	pool.SetConnMaxLifetime(longestLife)
	a.start(pool)
	return pool, nil
}

// synchronousCommit is the setting of PostgreSQL that makes commits durable.
const synchronousCommit = "synchronous_commit"

// readOnlyTransaction is what a server answers that has become a standby. A connection to it is closed at once.
const readOnlyTransaction = "25006"

// hosts cuts settings into one for each host, in their order. pgx would always begin with the first.
func hosts(settings *pgx.ConnConfig) (list []*pgx.ConnConfig) {
	targets := append([]*pgconn.FallbackConfig{{Host: settings.Host, Port: settings.Port, TLSConfig: settings.TLSConfig}}, settings.Fallbacks...)
	for _, target := range targets {
		if n := len(list); n > 0 && list[n-1].Host == target.Host && list[n-1].Port == target.Port {
			list[n-1].Fallbacks = append(list[n-1].Fallbacks, target) // the same without TLS, say
			continue
		}
		host := settings.Copy()
		host.Host, host.Port, host.TLSConfig, host.Fallbacks = target.Host, target.Port, target.TLSConfig, nil
		list = append(list, host)
	}
	return list
}

// newHost prepares both ways to a host. Straight to PostgreSQL, durable commits are asked for at the start of the
// session and statements stay prepared. Behind a pooler neither holds, see [pooledConn].
func newHost(settings *pgx.ConnConfig, durability string) host {
	pooled := settings.Copy()
	if pooled.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		pooled.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	pooled.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		_, err := greet(ctx, conn)
		return err
	}
	settings.RuntimeParams[synchronousCommit] = durability
	settings.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		pid, err := greet(ctx, conn)
		if err == nil && pid != strconv.FormatUint(uint64(conn.PID()), 10) {
			return errPooler
		}
		return err
	}
	noPing := stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }) // conn does
	return host{direct: stdlib.GetConnector(*settings, noPing), pooled: stdlib.GetConnector(*pooled, noPing)}
}

// errPooler says that somebody else's connections serve this one: the process that greeted us is not the one that
// answers.
var errPooler = errors.New("a connection pooler stands before the database")

// greet refuses a server that takes no writes, and returns the process that answered.
func greet(ctx context.Context, conn *pgconn.PgConn) (pid string, err error) {
	results, err := conn.Exec(ctx, "SELECT pg_backend_pid(), current_setting('transaction_read_only')").ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return "", errors.New("the server does not tell which process answers")
	}
	row := results[0].Rows[0]
	if string(row[1]) == "on" {
		return "", pgconn.ErrReadOnlyConnection
	}
	return string(row[0]), nil
}
