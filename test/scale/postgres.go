package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
)

// postgresEngine makes databases on one server.
type postgresEngine struct {
	server string // URL
	run    string // part of the names of this run's databases
	made   []string
}

func (e *postgresEngine) kind() string { return "PostgreSQL" }

func (e *postgresEngine) name(name string) string {
	if e.run == "" {
		e.run = strings.ToLower(rand.Text())
	}
	return "scale_" + name + "_" + e.run
}

func (e *postgresEngine) url(name string) string {
	u, err := url.Parse(e.server)
	if err != nil {
		return e.server // connecting says what is wrong with it
	}
	u.Path = "/" + e.name(name)
	return u.String()
}

func (e *postgresEngine) create(ctx context.Context, name string) error {
	return e.createFrom(ctx, name, "template1")
}

func (e *postgresEngine) clone(ctx context.Context, from, to string) error {
	if err := e.execute(ctx, e.server, "DROP DATABASE IF EXISTS "+e.name(to)+" WITH (FORCE)"); err != nil {
		return err
	}
	if err := e.createFrom(ctx, to, e.name(from)); err != nil {
		return err
	}
	return e.settle(ctx, to)
}

func (e *postgresEngine) createFrom(ctx context.Context, name, template string) error {
	e.made = append(e.made, name)
	return e.execute(ctx, e.server, "CREATE DATABASE "+e.name(name)+" TEMPLATE "+template)
}

func (e *postgresEngine) execute(ctx context.Context, url string, statements ...string) error {
	return withDB(url, func(db *sql.DB) error {
		for _, statement := range statements {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

func withDB(url string, do func(*sql.DB) error) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	return do(db)
}

// A request id is a UUID of version 7, which begins with the time.
const fillPostgres = `
WITH template AS MATERIALIZED (SELECT row_number() OVER () - 1 AS nr, * FROM access_tokens WHERE signature IN
		(SELECT (SELECT signature FROM access_tokens WHERE client_id = clients.id LIMIT 1) FROM clients)),
	moment AS (SELECT i, ends, lpad(to_hex(ends - $6::bigint), 12, '0') AS issued, gen_random_uuid()::text AS random
		FROM (SELECT i, $3::bigint + i * $4::bigint / $5::bigint AS ends FROM generate_series($1::bigint, $2::bigint - 1) i) n)
INSERT INTO access_tokens (signature, request_id, client_id, secret_id, epoch, subject, scope, audience, requested_scope,
	requested_audience, form, session_type, session, issued_at, expires_at, revoked_at, last_used_at)
SELECT decode(issued || substr(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 13), 'hex'),
	substr(issued, 1, 8) || '-' || substr(issued, 9) || '-7' || substr(random, 16), client_id, secret_id, epoch, subject, scope, audience,
	requested_scope, requested_audience, form, session_type, session, ends - $6::bigint, ends, NULL, last_used_at
FROM moment JOIN template ON nr = i % (SELECT count(*) FROM template)
ORDER BY i`

func (e *postgresEngine) fill(ctx context.Context, name string, rows int, first, last time.Time) error {
	return withDB(e.url(name), func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "SET synchronous_commit = off"); err != nil {
			return err
		}
		for from := 0; from < rows; from += fillBatch {
			_, err := db.ExecContext(ctx, fillPostgres, from, min(rows, from+fillBatch), first.UnixMilli(),
				last.Sub(first).Milliseconds(), rows, lifespan.Milliseconds())
			if err != nil {
				return fmt.Errorf("fill: %w", err)
			}
			say("%d of %d", min(rows, from+fillBatch), rows)
		}
		return nil
	})
}

func (e *postgresEngine) settle(ctx context.Context, name string) error {
	return e.execute(ctx, e.url(name), "VACUUM ANALYZE", "CHECKPOINT")
}

func (e *postgresEngine) sizes(ctx context.Context, name string) (*size, error) {
	s := new(size)
	return s, withDB(e.url(name), func(db *sql.DB) error {
		if err := db.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&s.Bytes); err != nil {
			return err
		}
		rows, err := db.QueryContext(ctx, `SELECT relname, pg_table_size(oid) FROM pg_class
			WHERE oid = 'access_tokens'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'access_tokens'::regclass) ORDER BY 2 DESC`)
		if err != nil {
			return fmt.Errorf("sizes: %w", err)
		}
		return s.scan(rows)
	})
}

// cpu adds up the processes of the server of scripts/with-postgres; of another one it knows nothing.
func (e *postgresEngine) cpu() (total float64) {
	pidFile, err := os.ReadFile(filepath.Join(os.Getenv("PGDATA"), "postmaster.pid"))
	if err != nil {
		return 0
	}
	parent, _, _ := strings.Cut(string(pidFile), "\n")
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[1] == parent {
			total += processCPU(pid)
		}
	}
	return total
}

func (e *postgresEngine) close() {
	for _, name := range e.made {
		if err := e.execute(context.Background(), e.server, "DROP DATABASE IF EXISTS "+e.name(name)+" WITH (FORCE)"); err != nil {
			say("%v", err)
		}
	}
}
