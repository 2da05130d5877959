package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver named "sqlite3", which is fast
	_ "modernc.org/sqlite"          // the driver named "sqlite", which can tell how large an index is
)

// sqliteEngine keeps each database in a folder of its own.
type sqliteEngine struct{ folder string }

func (e *sqliteEngine) kind() string { return "SQLite" }
func (e *sqliteEngine) path(name string) string {
	return filepath.Join(e.folder, name, "fosite-mcp.db")
}
func (e *sqliteEngine) url(name string) string { return "sqlite:" + e.path(name) }
func (e *sqliteEngine) cpu() float64           { return 0 }
func (e *sqliteEngine) close()                 {} // the folder goes with the run

func (e *sqliteEngine) create(_ context.Context, name string) error {
	return os.Mkdir(filepath.Join(e.folder, name), 0o700)
}

func (e *sqliteEngine) clone(ctx context.Context, from, to string) error {
	if err := e.settle(ctx, from); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(e.path(to))); err != nil {
		return err
	}
	if err := e.create(ctx, to); err != nil {
		return err
	}
	source, err := os.Open(e.path(from))
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(e.path(to))
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
}

// with opens a database without regard to its safety, for speed: should the machine fail, the run is over anyway.
func (e *sqliteEngine) with(name string, do func(*sql.DB) error) error {
	db, err := sql.Open("sqlite3", "file:"+e.path(name)+"?_synchronous=OFF&_cache_size=-4000000&_busy_timeout=60000")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	return do(db)
}

// Signatures and request ids (UUIDs of version 7) begin with the time.
const fillSQLite = `
WITH RECURSIVE
	n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2),
	moment AS (SELECT i, ?3 + i * ?4 / ?5 AS ends, printf('%012x', ?3 + i * ?4 / ?5 - ?6) AS issued, lower(hex(randomblob(9))) AS random FROM n),
	template AS MATERIALIZED (SELECT row_number() OVER () - 1 AS nr, * FROM access_tokens WHERE signature IN
		(SELECT (SELECT signature FROM access_tokens WHERE client_id = clients.id LIMIT 1) FROM clients))
INSERT INTO access_tokens (signature, request_id, client_id, secret_id, epoch, subject, scope, audience, requested_scope,
	requested_audience, form, session_type, session, issued_at, expires_at, revoked_at, last_used_at)
SELECT CAST(unhex(issued) || randomblob(26) AS BLOB), substr(issued, 1, 8) || '-' || substr(issued, 9) || '-7' || substr(random, 1, 3) || '-a' || substr(random, 4, 3) || '-' ||
	substr(random, 7), client_id, secret_id, epoch, subject, scope, audience, requested_scope,
	requested_audience, form, session_type, session, ends - ?6, ends, NULL, last_used_at
FROM moment JOIN template ON nr = i % (SELECT count(*) FROM template)`

func (e *sqliteEngine) fill(ctx context.Context, name string, rows int, first, last time.Time) error {
	return e.with(name, func(db *sql.DB) error {
		for from := 0; from < rows; from += fillBatch {
			_, err := db.ExecContext(ctx, fillSQLite, from, min(rows, from+fillBatch), first.UnixMilli(),
				last.Sub(first).Milliseconds(), rows, lifespan.Milliseconds())
			if err != nil {
				return fmt.Errorf("fill: %w", err)
			}
			say("%d of %d", min(rows, from+fillBatch), rows)
		}
		return nil
	})
}

func (e *sqliteEngine) settle(ctx context.Context, name string) error {
	err := e.with(name, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		return err
	})
	if err != nil {
		return err
	}
	// What the filling left to the operating system would otherwise be written while the server is measured.
	file, err := os.OpenFile(e.path(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

func (e *sqliteEngine) sizes(ctx context.Context, name string) (*size, error) {
	info, err := os.Stat(e.path(name))
	if err != nil {
		return nil, err
	}
	s := &size{Bytes: info.Size()}
	db, err := sql.Open("sqlite", e.path(name))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT name, pgsize FROM dbstat WHERE aggregate = 1 AND name IN
		(SELECT name FROM sqlite_schema WHERE tbl_name = 'access_tokens') ORDER BY 2 DESC`)
	if err != nil {
		return nil, fmt.Errorf("sizes: %w", err)
	}
	return s, s.scan(rows)
}

// scan reads names and sizes.
func (s *size) scan(rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		o := new(objectSize)
		if err := rows.Scan(&o.Name, &o.Bytes); err != nil {
			return err
		}
		s.Objects = append(s.Objects, o)
	}
	return rows.Err()
}
