package storage

import (
	"fmt"
	"strings"
)

// feedColumns are read for each row. The token of a row is t, those of a grant are g: but for those that have rows of their own.
const feedColumns = `, r.position, r.id, r.kind, r.name, r.created_at, COALESCE(t.signature, g.signature), COALESCE(t.audience, g.audience, '')`

const feedTokens = `
	LEFT JOIN {access_tokens} t ON r.kind = 'token' AND t.signature = r.id
	LEFT JOIN {access_tokens} g ON r.kind = 'grant' AND g.request_id = r.name AND g.revoked_at IS NULL
	ORDER BY r.position, r.id`

// On SQLite one transaction commits after the other, and a position is all that there is to know.
const feedOnSQLite = `SELECT m.next || ':' || m.next || ':', '', m.triggers` + feedColumns + `
	FROM (SELECT COALESCE(MAX(position), 0) + 1 AS next, (%s) AS triggers FROM {revocations}) m
	LEFT JOIN (SELECT * FROM {revocations} WHERE position >= CAST(? AS INTEGER) ORDER BY position LIMIT ?) r ON TRUE` + feedTokens

// On PostgreSQL a transaction may commit after another one that began later. A cursor therefore is a snapshot: it says which
// transactions a reader has seen. The statement returns the snapshot that it runs with, so that nothing comes between. A
// position of the future was restored from another server.
//
// The epoch changes where ids of transactions may be used again, or rows may be missing: with the server, the database and the
// timeline; with a recovery after a crash, which gives ids of rolled back transactions out again and begins the statistics anew;
// and when a trigger is made again.
const feedOnPostgres = `SELECT m.now, m.epoch, m.triggers` + feedColumns + `
	FROM (SELECT CAST(pg_current_snapshot() AS TEXT) AS now, (%s) AS triggers, to_hex((SELECT system_identifier FROM pg_control_system())) || '-' ||
		to_hex(CAST((SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AS BIGINT)) || '-' ||
		substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '-' || COALESCE(CAST((SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter) AS TEXT), '') || '-' ||
		(SELECT COALESCE(SUM(CAST(oid AS BIGINT)), 0) FROM pg_catalog.pg_trigger WHERE %s) AS epoch) m
	LEFT JOIN (SELECT * FROM {revocations} WHERE (position, id) > (CAST(? AS BIGINT), CAST(? AS BLOB))
		AND (CAST(? AS BIGINT) <= 1 OR position < CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT))
		AND NOT pg_visible_in_snapshot(CAST(CAST(position AS TEXT) AS xid8), CAST(CAST(? AS TEXT) AS pg_snapshot))
		ORDER BY position, id LIMIT ?) r ON TRUE` + feedTokens

// feedTriggers are the triggers that write the feed, by table.
var (
	feedTriggers       = [][2]string{{"access_tokens", "ended"}, {"grants", "ended"}, {"client_revocations", "noted"}, {"client_revocations", "ended"}}
	feedClientTriggers = [][2]string{{"clients", "ended"}, {"clients", "deleted"}, {"client_secrets", "ended"}, {"client_secrets", "deleted"}}
)

// prepare makes the statement that reads the feed. It also counts the triggers: a host's AutoMigrate makes none, and drops
// them on SQLite when it rebuilds a table.
func (f *Feed) prepare() {
	triggers := feedTriggers
	if f.external == nil {
		triggers = append(triggers[:len(triggers):len(triggers)], feedClientTriggers...)
	}
	var conditions []string
	for _, trigger := range triggers {
		name := strings.ReplaceAll(f.db.IndexName(trigger[0], trigger[1]), "'", "''")
		condition := fmt.Sprintf("name = '%s' COLLATE NOCASE", name)
		if f.db.Postgres {
			condition = fmt.Sprintf("tgname = '%s' AND tgrelid = to_regclass('%s')", name, strings.ReplaceAll(f.db.Table(trigger[0]), "'", "''"))
		}
		conditions = append(conditions, condition)
	}
	f.writers = len(triggers)
	either := strings.Join(conditions, " OR ")
	if f.db.Postgres {
		f.query = fmt.Sprintf(feedOnPostgres, "SELECT COUNT(*) FROM pg_catalog.pg_trigger WHERE tgenabled IN ('O', 'A') AND ("+either+")", either)
	} else {
		f.query = fmt.Sprintf(feedOnSQLite, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND ("+either+")")
	}
}
