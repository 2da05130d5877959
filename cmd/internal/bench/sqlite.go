package bench

import (
	"context"
	"database/sql"
)

var sqlite = dialect{
	engine:  "SQLite",
	version: "SELECT sqlite_version()",
	durable: sqliteDurable,
	size:    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
	objects: `SELECT name, pgsize FROM dbstat WHERE aggregate = 1 AND name IN
		(SELECT name FROM sqlite_schema WHERE tbl_name = 'access_tokens') ORDER BY 2 DESC`, // only the SQLite without C knows
	// Should the machine fail, the run is over anyway.
	fast:   []string{"PRAGMA synchronous = OFF", "PRAGMA cache_size = -65536"},
	fill:   fillSQLite,
	settle: []string{"PRAGMA synchronous = FULL", "PRAGMA wal_checkpoint(TRUNCATE)"},
}

// sqliteDurable asks a connection that was opened as the server opens its own.
func sqliteDurable(ctx context.Context, pool *sql.DB) (bool, string, error) {
	var mode string
	if err := pool.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return false, "", err
	}
	var level int
	if err := pool.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil {
		return false, "", err
	}
	levels := []string{"OFF", "NORMAL", "FULL", "EXTRA"}
	return level >= 2, "journal_mode=" + mode + ", synchronous=" + levels[min(level, 3)], nil
}

// Keys begin with the time: those of the table with six bytes of it, request ids as UUIDs of version 7.
func fillSQLite(columns []string) string {
	return `WITH RECURSIVE
	number(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?2),
	moment AS (SELECT i, ?3 + i * ?4 / ?5 AS now, printf('%012x', ?3 + i * ?4 / ?5) AS stamp, lower(hex(randomblob(9))) AS noise FROM number),
	template AS MATERIALIZED (SELECT row_number() OVER () - 1 AS nr, * FROM access_tokens WHERE signature IN
		(SELECT (SELECT signature FROM access_tokens WHERE client_id = clients.id LIMIT 1) FROM clients))
` + insert(columns, map[string]string{
		"signature":  "CAST(unhex(stamp) || randomblob(26) AS BLOB)",
		"request_id": "substr(stamp, 1, 8) || '-' || substr(stamp, 9) || '-7' || substr(noise, 1, 3) || '-a' || substr(noise, 4, 3) || '-' || substr(noise, 7)",
		"revoked_at": "NULL",
		"issued_at":  "now",
		"expires_at": "now + expires_at - issued_at",
	}) + `
FROM moment JOIN template ON nr = i % (SELECT count(*) FROM template)`
}
