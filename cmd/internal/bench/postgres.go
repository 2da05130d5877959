package bench

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"fosite-mcp/config"

	"github.com/jackc/pgx/v5/pgconn"
)

var postgres = dialect{
	engine:  "PostgreSQL",
	version: "SELECT split_part(current_setting('server_version'), ' ', 1)",
	durable: postgresDurable,
	size: `SELECT COALESCE(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname = current_schema()`,
	objects: `SELECT relname, pg_table_size(oid) FROM pg_class WHERE oid = 'access_tokens'::regclass
		OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'access_tokens'::regclass) ORDER BY 2 DESC`,
	fast:      []string{"SET synchronous_commit = off"},
	fill:      fillPostgres,
	settle:    []string{"SET synchronous_commit = on", "VACUUM ANALYZE access_tokens"},
	maySettle: []string{"CHECKPOINT"},
}

// postgresDurable asks a connection that was opened as the server opens its own.
func postgresDurable(ctx context.Context, pool *sql.DB) (bool, string, error) {
	var commit, fsync string
	err := pool.QueryRowContext(ctx, "SELECT current_setting('synchronous_commit'), current_setting('fsync')").Scan(&commit, &fsync)
	return commit != "off" && fsync == "on", "synchronous_commit=" + commit + ", fsync=" + fsync, err
}

func fillPostgres(columns []string) string {
	return `WITH template AS MATERIALIZED (SELECT row_number() OVER () - 1 AS nr, * FROM access_tokens WHERE signature IN
		(SELECT (SELECT signature FROM access_tokens WHERE client_id = clients.id LIMIT 1) FROM clients)),
	moment AS (SELECT i, at, lpad(to_hex(at), 12, '0') AS stamp, gen_random_uuid()::text AS noise
		FROM (SELECT i, $3::bigint + i * $4::bigint / $5::bigint AS at FROM generate_series($1::bigint, $2::bigint - 1) i) n)
` + insert(columns, map[string]string{
		"signature":  "decode(stamp || substr(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 13), 'hex')",
		"request_id": "substr(stamp, 1, 8) || '-' || substr(stamp, 9) || '-7' || substr(noise, 16)",
		"revoked_at": "NULL",
		"issued_at":  "at",
		"expires_at": "at + expires_at - issued_at",
	}) + `
FROM moment JOIN template ON nr = i % (SELECT count(*) FROM template)
ORDER BY i`
}

// findPostmaster is the process of the server behind the pool, if it runs on this machine. Otherwise it is 0.
func findPostmaster(ctx context.Context, pool *sql.DB) int {
	var backend int
	var name string
	if pool.QueryRowContext(ctx, "SELECT pg_backend_pid(), current_database()").Scan(&backend, &name) != nil {
		return 0
	}
	return postmasterOf(backend, name)
}

// newOnServer makes a database on a server, or where the role may not do that a schema.
func newOnServer(ctx context.Context, server config.DatabaseURL) (*scratch, error) {
	pool, err := connect(server)
	if err != nil {
		return nil, wrap("--database", err)
	}
	d := &scratch{dialect: postgres, remove: []func() error{pool.Close}}
	name := "fosite_mcp_bench_" + strings.ToLower(rand.Text()[:12])
	_, refusal := pool.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE template0")
	switch {
	case refusal == nil:
		d.place = "database " + name
		d.url, err = withName(server, name, "")
		d.remove = append(d.remove, dropping(pool, "DROP DATABASE "+name+" WITH (FORCE)"))
	case notAllowed(refusal):
		_, refusal = pool.ExecContext(ctx, "CREATE SCHEMA "+name)
		if refusal == nil {
			d.place = "schema " + name
			d.url, err = withName(server, "", name)
			d.remove = append(d.remove, dropping(pool, "DROP SCHEMA "+name+" CASCADE"))
		}
	}
	if refusal != nil {
		return nil, errors.Join(fmt.Errorf("--database: cannot make a database or a schema for the run (%w); name a role that may: ALTER ROLE … CREATEDB", refusal), d.close())
	}
	if err == nil {
		err = checkPlace(ctx, d.url, name)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// notAllowed tells that the role lacks the right.
func notAllowed(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == "42501"
}

// withName is the URL of another database on the server, or of a schema in the same one.
func withName(server config.DatabaseURL, database, schema string) (config.DatabaseURL, error) {
	u, err := url.Parse(server.Reveal())
	if err != nil {
		return "", errors.New("--database: the URL cannot be read")
	}
	if database != "" {
		u.Path = "/" + database
	}
	query := u.Query()
	if query.Del("search_path"); schema != "" {
		query.Set("search_path", schema)
	}
	u.RawQuery = query.Encode()
	return config.DatabaseURL(u.String()), nil
}

// checkPlace makes sure that what the server will do happens in the database or schema of that name. A pooler may send it to
// another one.
func checkPlace(ctx context.Context, url config.DatabaseURL, name string) error {
	pool, err := connect(url)
	if err != nil {
		return err
	}
	defer pool.Close()
	var places [2]sql.NullString
	if err := pool.QueryRowContext(ctx, "SELECT current_database(), current_schema()").Scan(&places[0], &places[1]); err != nil {
		return err
	}
	if !slices.ContainsFunc(places[:], func(place sql.NullString) bool { return place.String == name }) {
		return fmt.Errorf("--database: connections do not reach %s; name the PostgreSQL server itself, not a pooler", name)
	}
	return nil
}

// dropLimit bounds the removal of the database.
const dropLimit = 30 * time.Second

// errNotRemoved is for a place on a server that has to be dropped by hand.
var errNotRemoved = errors.New("--database: what was made for the run is still there")

// dropping runs the statement, also after an interrupt.
func dropping(pool *sql.DB, statement string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), dropLimit)
		defer cancel()
		if _, err := pool.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%w: %s: %w", errNotRemoved, statement, err)
		}
		return nil
	}
}
