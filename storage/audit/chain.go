package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math/bits"
	"strings"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Each event points to the one before, so events take turns. A transaction adds its events at its end: then others wait for
// the chain no longer than a commit takes.
//
// The process remembers where the chain ended and goes on from there, if it still ends there. Else the end is read: another
// process has added events. While others add events again and again, the process does not try.

const mainChain = "main" // the only one

const readEnd = `SELECT last_id, last_hash FROM {audit_chain} WHERE chain = 'main'`

// moveEnd takes the new end and the hash of the old one. It locks the chain, and changes nothing if the chain ends elsewhere.
const moveEnd = `UPDATE {audit_chain} SET last_id = ?, last_hash = ? WHERE chain = 'main' AND last_hash = ?`

// link is an event with its place in the chain.
type link struct {
	Event
	previous, sum []byte
}

// ending is where the chain ended after the events of a transaction of this process.
type ending struct {
	Place
	alone bool // nobody else had added an event since the transaction before
}

// follow gives links their places after end, and returns the new end.
func follow(end Place, links ...*link) Place {
	for _, l := range links {
		l.ID, l.previous = end.ID+1, end.Hash
		l.sum = l.hash(l.previous)
		end = Place{l.ID, l.sum}
	}
	return end
}

// flush stores the events of a transaction, just before its commit.
func (l *Log) flush(_ context.Context, tx *database.Tx, deferred []any) error {
	links := make([]*link, len(deferred))
	for i, one := range deferred {
		links[i] = one.(*link)
	}
	return database.Wrap(l.extend(tx, links), "store an audit event")
}

// flushed is told of events that have become durable.
func (l *Log) flushed(deferred []any) {
	known, first, last := l.end.Load(), deferred[0].(*link), deferred[len(deferred)-1].(*link)
	l.end.Store(&ending{Place{last.ID, last.sum}, known == nil || bytes.Equal(known.Hash, first.previous)})
	if l.listener == nil {
		return
	}
	for _, one := range deferred {
		l.listener(one.(*link).Event)
	}
}

func (l *Log) extend(tx *database.Tx, links []*link) error {
	switch known := l.end.Load(); {
	case known == nil:
		if err := begin(tx); err != nil {
			return err
		}
	case known.alone:
		if done, err := l.store(tx, known.Place, links); done || err != nil {
			return err
		}
	}
	query := readEnd
	if l.db.Postgres {
		query += ` FOR UPDATE`
	}
	var end Place
	if err := tx.QueryRow(query).Scan(&end.ID, &end.Hash); err != nil {
		return err
	}
	done, err := l.store(tx, end, links)
	if err == nil && !done {
		err = errors.New("the end of the chain cannot be moved")
	}
	return err
}

// begin makes sure that there is a chain: tables that a host's AutoMigrate has made are empty. Once an event is durable nobody
// needs to call it, and a chain that is gone is an error.
func begin(tx *database.Tx) error {
	nothing := make([]byte, sha256.Size)
	_, err := tx.Run(`INSERT INTO {audit_chain} (chain, last_id, last_hash, pruned_id, pruned_hash) VALUES ('main', 0, ?, 0, ?)
		ON CONFLICT (chain) DO NOTHING`, nothing, nothing)
	return database.Wrap(err, "begin the chain of audit events")
}

// store stores links after end, unless the chain ends elsewhere. On PostgreSQL it is one statement, because each is a round trip.
func (l *Log) store(tx *database.Tx, end Place, links []*link) (done bool, err error) {
	next := follow(end, links...)
	values := []any{next.ID, next.Hash, end.Hash}
	if l.db.Postgres {
		rows := make([][]any, len(links))
		for i, link := range links {
			rows[i] = link.values()
		}
		arrays, err := database.Arrays(eventColumns, rows)
		if err != nil {
			return false, err
		}
		n, err := tx.Run(storeEvents, append(values, arrays...)...)
		return n > 0, err
	}
	n, err := tx.Run(moveEnd, values...)
	if err != nil || n == 0 {
		return false, err
	}
	for len(links) > 0 {
		size := min(bits.Len(uint(len(links))), len(insertEvents)) - 1
		var rows []any
		for _, link := range links[:1<<size] {
			rows = append(rows, link.values()...)
		}
		if _, err := tx.Run(insertEvents[size], rows...); err != nil {
			return false, err
		}
		links = links[1<<size:]
	}
	return true, nil
}

var eventColumns = database.Columns(`id BIGINT, time BIGINT, actor TEXT, action TEXT, client_id TEXT, token_id TEXT, request_id TEXT,
	ip TEXT, outcome TEXT, changes TEXT, prev_hash BYTEA, hash BYTEA`)

// values are those of eventColumns.
func (l *link) values() []any {
	return []any{
		l.ID, model.Millis(l.Time), l.Actor, l.Action, l.ClientID, l.TokenID, l.RequestID, l.IP, l.Outcome, string(l.Changes),
		l.previous, l.sum,
	}
}

var (
	eventNames   = joinColumns(func(c database.Column) string { return c.Name })
	insertEvent  = `INSERT INTO {audit_events} (` + eventNames + `) `
	insertEvents = [...]string{insertRows(1), insertRows(2), insertRows(4), insertRows(8), insertRows(16), insertRows(32)} // SQLite's
	storeEvents  = `WITH moved AS (` + moveEnd + ` RETURNING 1) ` + insertEvent + `SELECT ` + eventNames +
		` FROM moved, ` + database.ManyOf(eventColumns) // PostgreSQL's
)

func insertRows(n int) string {
	row := `(` + joinColumns(func(database.Column) string { return `?` }) + `)`
	return insertEvent + `VALUES ` + row + strings.Repeat(`, `+row, n-1)
}

func joinColumns(text func(database.Column) string) string {
	var all []string
	for _, c := range eventColumns {
		all = append(all, text(c))
	}
	return strings.Join(all, ", ")
}
