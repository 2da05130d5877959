package storage

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// Events take turns: each points to the one before. So they are put into the chain at the end of their transaction, and
// nothing waits for the chain longer than a commit takes.

// addEvent puts an event into the chain when the transaction of q commits. The event has been filled in.
func addEvent(q queryer, event AuditEvent) {
	q.(interface{ addEvent(AuditEvent) }).addEvent(event)
}

func (t *txQueryer) addEvent(event AuditEvent) { t.events = append(t.events, event) }

// commit ends the transaction, with its events.
func (t *txQueryer) commit(ctx context.Context) error {
	if err := t.chain(ctx); err != nil {
		return notCommitted(errors.Join(err, t.tx.Rollback()))
	}
	if err := t.tx.Commit(); err != nil {
		return err
	}
	t.db.tell(t.events...)
	return nil
}

// tell reports what has become durable.
func (d *database) tell(events ...AuditEvent) {
	if d.audited == nil {
		return
	}
	for _, event := range events {
		d.audited(event)
	}
}

func (t *txQueryer) chain(ctx context.Context) error {
	chain := t.chainHere
	if t.db.postgres {
		chain = t.chainThere
	}
	if len(t.events) == 0 {
		return nil
	}
	if err := chain(ctx); err != nil {
		return fmt.Errorf("storage: store an audit event: %w", err)
	}
	return nil
}

// chainHere is SQLite's: a statement costs microseconds, and the transaction holds the lock of all writers.
func (t *txQueryer) chainHere(ctx context.Context) error {
	var id int64
	var hash []byte
	if err := t.QueryRowContext(ctx, `SELECT last_id, last_hash FROM audit_chain WHERE chain = 'main'`).Scan(&id, &hash); err != nil {
		return err
	}
	for i := range t.events {
		e := &t.events[i]
		id++
		e.ID = id
		previous := hash
		hash = e.hash(previous)
		_, err := t.ExecContext(ctx, insertAuditEvent, id, millis(e.Time), e.Actor, e.Action, e.ClientID, e.TokenID, e.RequestID, e.IP,
			e.Outcome, string(e.Changes), previous, hash)
		if err != nil {
			return err
		}
	}
	_, err := t.ExecContext(ctx, `UPDATE audit_chain SET last_id = ?, last_hash = ? WHERE chain = 'main'`, id, hash)
	return err
}

// chainThere is PostgreSQL's: a round trip costs more than a statement, so all of it is one, hashes included.
func (t *txQueryer) chainThere(ctx context.Context) error {
	_, err := t.ExecContext(ctx, appendEvents, givenArrays(t.events)...)
	return err
}

const auditColumns = `id, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash`

const insertAuditEvent = `INSERT INTO audit_events (` + auditColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// The parts of a PostgreSQL statement that appends events. "given" has events and the positions that the caller gave them;
// "happened" has the positions of those that are to be stored. The lock of the chain's only row makes the chain linear.
// Each link's hash is what AuditEvent.hash computes; int8send is lengthOf.
const (
	givenTypes = `CAST(? AS BIGINT[]), CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS TEXT[]),
		CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS BYTEA[])`
	givenColumns = `time, actor, action, client_id, token_id, request_id, ip, outcome, changes, tail`
)

var chainHappened = `
	queue AS (SELECT position, row_number() OVER (ORDER BY position) AS n FROM (SELECT DISTINCT position FROM happened) h),
	last AS (SELECT last_id, last_hash FROM audit_chain WHERE chain = 'main' AND EXISTS (SELECT 1 FROM happened) FOR UPDATE),
	links AS (
		SELECT CAST(0 AS BIGINT) AS n, CAST(0 AS BIGINT) AS position, last_id AS id, last_hash AS previous, last_hash AS hash FROM last
		UNION ALL
		SELECT q.n, q.position, l.id + 1, l.hash, sha256('\x` + hex.EncodeToString(auditHead()) + `'::bytea || l.hash
			|| int8send(CAST(octet_length(CAST(l.id + 1 AS TEXT)) AS BIGINT)) || convert_to(CAST(l.id + 1 AS TEXT), 'UTF8') || g.tail)
		FROM links l JOIN queue q ON q.n = l.n + 1 JOIN given g ON g.position = q.position
	),
	stored AS (INSERT INTO audit_events (` + auditColumns + `)
		SELECT l.id, g.time, g.actor, g.action, g.client_id, g.token_id, g.request_id, g.ip, g.outcome, g.changes, l.previous, l.hash
		FROM links l JOIN given g ON g.position = l.position),
	extended AS (UPDATE audit_chain c SET last_id = l.id, last_hash = l.hash
		FROM (SELECT id, hash FROM links ORDER BY n DESC LIMIT 1) l WHERE c.chain = 'main')
	SELECT position FROM happened`

var appendEvents = `WITH RECURSIVE
	given AS (SELECT * FROM unnest(` + givenTypes + `) WITH ORDINALITY AS g (` + givenColumns + `, position)),
	happened AS (SELECT position FROM given),` + chainHappened

// givenArrays are the arguments for givenTypes.
func givenArrays(events []AuditEvent) (arrays []any) {
	times, texts, tails := make([]int64, len(events)), [8][]string{}, make([][]byte, len(events))
	for i := range events {
		e := &events[i]
		times[i], tails[i] = millis(e.Time), e.tail()
		for k, text := range []string{e.Actor, e.Action, e.ClientID, e.TokenID, e.RequestID, e.IP, e.Outcome, string(e.Changes)} {
			texts[k] = append(texts[k], text)
		}
	}
	arrays = append(arrays, times)
	for _, array := range texts {
		arrays = append(arrays, array)
	}
	return append(arrays, tails)
}
