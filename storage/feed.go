package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Feed is the part of a [Store] that tells services what has ended, so that they may keep answers about tokens. Triggers
// write it, in the transaction that ends tokens.
type Feed struct {
	*core
	process atomic.Pointer[string] // SQLite's epoch: positions may be used again when a file is restored
	query   string
	writers int // how many triggers there have to be
}

// Kinds of a [Revocation].
const (
	EndedToken    = "token"  // the token of this [TokenID] has ended
	ChangedClient = "client" // what is known of the tokens that this client was issued before is no longer sure
)

// Revocation is an entry of the [Feed].
type Revocation struct {
	Kind string // EndedToken or ChangedClient
	ID   string
	Time time.Time
}

// RevocationPage is what has ended after a cursor.
type RevocationPage struct {
	Cursor      string // for the next page; it means something to this database alone
	Revocations []Revocation
	More        bool // the page says nothing about the time at which it was read, because there is another one
	Reset       bool // nobody knows what has ended after the cursor that was given
}

// FromNow is the cursor of who wants to hear of nothing that has ended before. The empty one is of who wants to hear of all.
const FromNow = "now"

// transactionLag is how long a client's token may be issued after the time of a change that ends it: by a request that was
// under way, or by a process whose clock is ahead.
const transactionLag = time.Minute

func newFeed(c *core) *Feed {
	f := &Feed{core: c}
	f.beginEpoch()
	return f
}

func (f *Feed) beginEpoch() {
	epoch := strings.ToLower(rand.Text())[:16]
	f.process.Store(&epoch)
}

// Revocations returns what has ended after a cursor: tokens for one of resources, and clients. limit bounds the rows that are
// read; a grant has several tokens perhaps. Unless the page says More, whatever had been acknowledged when the call began is
// in it or before it. A revocation may come twice.
func (f *Feed) Revocations(ctx context.Context, cursor string, resources []string, limit int) (*RevocationPage, error) {
	from, known := parseFeedCursor(cursor)
	now, rows, err := f.read(ctx, from, limit)
	if err != nil {
		return nil, err
	}
	if cursor == FromNow || !known || from.epoch != "" && (from.epoch != now.epoch || from.isAfter(now.known)) {
		return &RevocationPage{Cursor: now.String(), Reset: cursor != FromNow}, nil
	}
	page := &RevocationPage{}
	last, n := feedRow{}, 0
	for _, row := range rows {
		if row.position != last.position || !slices.Equal(row.id, last.id) {
			n++
		}
		last = row
		if row.kind == "client" && f.db.Postgres && from.known.xmin > 1 {
			// A transaction of a host's may have taken long: tokens that were issued until it committed have ended as well.
			row.createdAt = max(row.createdAt, f.now().UnixMilli())
		}
		if revocation, ok := row.revocation(resources); ok {
			page.Revocations = append(page.Revocations, revocation)
		}
	}
	next := from.after(now, last, n >= limit, f.db.Postgres)
	page.Cursor, page.More = next.String(), n >= limit || from.paging()
	return page, nil
}

// HasRevocations tells whether anything has ended after a cursor, and returns the cursor of this moment. It costs little.
func (f *Feed) HasRevocations(ctx context.Context, cursor string) (has bool, now string, err error) {
	from, known := parseFeedCursor(cursor)
	moment, rows, err := f.read(ctx, from, 1)
	if err != nil {
		return false, "", err
	}
	return len(rows) > 0 || !known || from.epoch != moment.epoch, moment.String(), nil
}

// ClientChanged tells the feed that what introspection says of a client's tokens has changed, or that they have ended. Call it with
// [WithClients], when the host's client has changed, within the transaction that changes it ([WithTx]). The store notes its own
// clients by itself.
func (f *Feed) ClientChanged(ctx context.Context, id string) error {
	_, err := f.db.Run(ctx, clients.NoteChanged, id)
	return database.Wrap(err, "note that a client has changed")
}

// feedRow is a row of revocations with a token that it has ended; several rows of one grant.
type feedRow struct {
	position   int64
	id         []byte
	kind, name string
	createdAt  int64
	signature  []byte // nil: there is no such token
	audience   model.List
}

// revocation is the entry for who speaks for resources.
func (row *feedRow) revocation(resources []string) (Revocation, bool) {
	at := time.UnixMilli(min(row.createdAt, maxFeedTime)).UTC()
	if row.kind == "client" {
		return Revocation{ChangedClient, row.name, at.Add(transactionLag)}, true
	}
	concerns := slices.ContainsFunc(resources, func(resource string) bool { return slices.Contains(row.audience, resource) })
	return Revocation{EndedToken, tokenIDs.EncodeToString(row.signature), at}, concerns && row.signature != nil
}

// maxFeedTime is in the year 9999. Readers refuse a later one.
const maxFeedTime = 253_000_000_000_000

// read reads rows after a cursor, and the cursor of the moment, in one statement.
func (f *Feed) read(ctx context.Context, from feedCursor, limit int) (now feedCursor, found []feedRow, err error) {
	place := from.place
	if !from.paging() {
		place = feedPlace{from.known.xmin, []byte{}}
	}
	args := []any{place.position, place.id, from.known.xmin, from.known.String(), limit}
	if !f.db.Postgres {
		args = []any{from.known.xmin, limit}
	}
	rows, err := f.db.Query(ctx, f.query, args...)
	if err != nil {
		return now, nil, database.Wrap(err, "read the revocations")
	}
	defer rows.Close()
	for rows.Next() {
		var snapshot string
		var triggers int
		var position, createdAt sql.NullInt64
		var kind, name model.Text
		var row feedRow
		err := rows.Scan(&snapshot, &now.epoch, &triggers, &position, &row.id, &kind, &name, &createdAt, &row.signature, &row.audience)
		if err == nil {
			now.known, err = parseSnapshot(snapshot)
		}
		if err == nil && triggers < f.writers {
			f.beginEpoch() // what is revoked until they are there is missed
			err = fmt.Errorf("%d of %d triggers are there that write the table %s, so the feed would miss revocations; run Store.Migrate if it never ran, or else "+
				"the statements CREATE FUNCTION, CREATE TRIGGER and the INSERTs behind them of: fosite-mcp migrate sql", triggers, f.writers, f.db.Table("revocations"))
		}
		if err != nil {
			return now, nil, database.Wrap(err, "read the revocations")
		}
		if position.Valid {
			row.position, row.kind, row.name, row.createdAt = position.Int64, string(kind), string(name), createdAt.Int64
			found = append(found, row)
		}
	}
	if !f.db.Postgres {
		now.epoch = *f.process.Load()
		return now, found, database.Wrap(rows.Err(), "read the revocations")
	}
	sum := sha256.Sum256([]byte(now.epoch)) // short, and nobody learns which server this is
	now.epoch = hex.EncodeToString(sum[:8])
	return now, found, database.Wrap(rows.Err(), "read the revocations")
}
