package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Each event points to the one before, so events take turns. A transaction adds its events at its end: then others wait for
// the chain no longer than a commit takes.

const mainChain = "main" // the only one

// begin makes sure that there is a chain: tables that a host's AutoMigrate has made are empty. It remembers that there is
// one once that has been committed for certain; then nobody needs to call it.
func (l *Log) begin(ctx context.Context, tx *database.Tx) error {
	nothing := make(model.Hash, sha256.Size)
	n, err := tx.Run(`INSERT INTO {audit_chain} (chain, last_id, last_hash, pruned_id, pruned_hash) VALUES ('main', 0, ?, 0, ?)
		ON CONFLICT (chain) DO NOTHING`, nothing, nothing)
	if err == nil && n == 0 && !database.InHostsTransaction(ctx) {
		l.begun.Store(true)
	}
	return database.Wrap(err, "begin the chain of audit events")
}

// flush stores the events of a transaction, just before its commit.
func (l *Log) flush(ctx context.Context, tx *database.Tx, deferred []any) error {
	if !l.begun.Load() {
		if err := l.begin(ctx, tx); err != nil {
			return err
		}
	}
	chain := chainOnSQLite
	if l.db.Postgres {
		chain = chainOnPostgres
	}
	events := make([]*Event, len(deferred))
	for i, event := range deferred {
		events[i] = event.(*Event)
	}
	return database.Wrap(chain(tx, events), "store an audit event")
}

// flushed tells the listener of events that have become durable.
func (l *Log) flushed(deferred []any) {
	if l.listener == nil {
		return
	}
	for _, event := range deferred {
		l.listener(*event.(*Event))
	}
}

// chainOnSQLite stores each event by a statement: one costs microseconds, and the transaction holds the lock of all writers.
func chainOnSQLite(tx *database.Tx, events []*Event) error {
	var end model.AuditChain
	if err := tx.QueryRow(`SELECT last_id, last_hash FROM {audit_chain} WHERE chain = 'main'`).Scan(&end.LastID, &end.LastHash); err != nil {
		return err
	}
	for _, e := range events {
		e.ID = end.LastID + 1
		hash := e.hash(end.LastHash)
		if _, err := tx.Run(insertEvent, slices.Concat([]any{e.ID}, e.columns(), []any{end.LastHash, hash})...); err != nil {
			return err
		}
		end.LastID, end.LastHash = e.ID, hash
	}
	_, err := tx.Run(`UPDATE {audit_chain} SET last_id = ?, last_hash = ? WHERE chain = 'main'`, end.LastID, end.LastHash)
	return err
}

// chainOnPostgres stores all events by one statement, which computes the hashes: a round trip costs more than a statement.
func chainOnPostgres(tx *database.Tx, events []*Event) error {
	if len(events) == 1 {
		_, err := tx.Run(appendEvent, events[0].values()...)
		return err
	}
	rows := make([][]any, len(events))
	for i := range events {
		rows[i] = events[i].values()
	}
	arrays, err := database.Arrays(givenEvent, rows)
	if err != nil {
		return err
	}
	_, err = tx.Run(appendEvents, arrays...)
	return err
}

const eventColumns = `id, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash`

const insertEvent = `INSERT INTO {audit_events} (` + eventColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// Here are the parts of a PostgreSQL statement that appends events. "given" holds events and their positions. "happened" holds
// the positions of the events to store. The statement locks the chain's only row, so that no two events follow the same one; it
// does so when all of its changes have happened, because it may wait for their rows.
// It computes the hashes of Event.hash: int8send writes a length as lengths.Append does.

var givenEvent = database.Columns(`time BIGINT, actor TEXT, action TEXT, client_id TEXT, token_id TEXT, request_id TEXT,
	ip TEXT, outcome TEXT, changes TEXT, tail BYTEA`)

// giveOne takes a value for each column. PostgreSQL would plan a statement with arrays anew each time.
func giveOne(columns []database.Column) string {
	var values []string
	for _, c := range columns {
		values = append(values, `CAST(? AS `+c.Type+`) AS `+c.Name)
	}
	return `given AS (SELECT ` + strings.Join(values, ", ") + `, CAST(1 AS BIGINT) AS position)`
}

// giveMany takes an array for each column.
func giveMany(columns []database.Column) string {
	return `given AS (SELECT * FROM ` + database.ManyOf(columns) + `)`
}

const lastOfChain = `
	last AS (SELECT last_id, last_hash FROM {audit_chain} WHERE chain = 'main' AND (SELECT COUNT(*) FROM happened) > 0 FOR UPDATE),`

// linkHash is the hash of the event g with that id.
func linkHash(id, previous string) string {
	return `sha256('\x` + hex.EncodeToString(hashHead) + `'::bytea || ` + previous + `
		|| int8send(CAST(octet_length(CAST(` + id + ` AS TEXT)) AS BIGINT)) || convert_to(CAST(` + id + ` AS TEXT), 'UTF8') || g.tail)`
}

// store stores links, of which newest is the last one. The statement answers with what has happened; without a chain it fails.
func store(links, newest string) string {
	return `
	stored AS (INSERT INTO {audit_events} (` + eventColumns + `)
		SELECT l.id, g.time, g.actor, g.action, g.client_id, g.token_id, g.request_id, g.ip, g.outcome, g.changes, l.previous, l.hash
		FROM ` + links + ` l JOIN given g ON g.position = l.position),
	extended AS (UPDATE {audit_chain} c SET last_id = l.id, last_hash = l.hash FROM ` + newest + ` l WHERE c.chain = 'main')
	SELECT position / (SELECT COUNT(*) FROM last) FROM happened`
}

// chainOne is for one event: without the recursion it is a quarter of the work less.
var chainOne = lastOfChain + `
	link AS (SELECT g.position, last_id + 1 AS id, last_hash AS previous, ` + linkHash("(last_id + 1)", "last_hash") + ` AS hash FROM last, given g),` +
	store("link", "link")

var chainMany = `
	queue AS (SELECT position, row_number() OVER (ORDER BY position) AS n FROM (SELECT DISTINCT position FROM happened) h),` + lastOfChain + `
	links AS (
		SELECT CAST(0 AS BIGINT) AS n, CAST(0 AS BIGINT) AS position, last_id AS id, last_hash AS previous, last_hash AS hash FROM last
		UNION ALL
		SELECT q.n, q.position, l.id + 1, l.hash, ` + linkHash("(l.id + 1)", "l.hash") + `
		FROM links l JOIN queue q ON q.n = l.n + 1 JOIN given g ON g.position = q.position
	),` + store("links", "(SELECT id, hash FROM links ORDER BY n DESC LIMIT 1)")

var (
	appendEvent  = `WITH ` + giveOne(givenEvent) + allHappened + chainOne
	appendEvents = `WITH RECURSIVE ` + giveMany(givenEvent) + allHappened + chainMany
)

const allHappened = `, happened AS (SELECT position FROM given),`

// columns are the values of an event's columns, from the time to the changes.
func (e *Event) columns() []any {
	return []any{model.Millis(e.Time), e.Actor, e.Action, e.ClientID, e.TokenID, e.RequestID, e.IP, e.Outcome, string(e.Changes)}
}

// values are the values of the columns of givenEvent.
func (e *Event) values() []any { return append(e.columns(), e.appendTail(nil)) }
