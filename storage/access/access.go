// Package access tells who had access in a time that is over: which clients, rules about issuers and people could have used a token,
// and when. Make a [Reader] with [New], or take that of a store: storage.Store.Access.
package access

import (
	"context"
	"time"

	"fosite-mcp/storage/internal/database"
)

// What a line is about.
const (
	Client = "client" // a machine, or a service
	Issuer = "issuer" // a rule about an issuer, and whoever it trusts
	Person = "person" // somebody, by a client
)

// What gave the access.
const (
	ByRegistration = "registration"
	ByConsent      = "consent"
	ByGrant        = "grant" // a login whose consent is not known any more
	ByRule         = "rule"  // about an enterprise's issuer
)

// Ended is the status of a person's access that is over. Other ones are those of clients.
const Ended = "ended"

// Line says that somebody could have used a token.
type Line struct {
	Kind                        string
	ClientID, ClientName, Owner string
	Subject, Username           string // of a person
	Scopes, Resources           []string
	By                          string
	From, Until                 time.Time // zero: not known; and still
	// FirstToken and LastToken are when the first and the last of the tokens were issued that are known and were valid in the time.
	FirstToken, LastToken time.Time
	LastUsed              time.Time // coarse; zero: not known
	Status                string    // now
}

// Filter says which lines [Reader.List] returns.
type Filter struct {
	Since, Until time.Time // Since ≤ time < Until; zero: from the beginning, and until now
	ClientIDs    []string  // only by these; nil: all
	Recorded     bool      // issued tokens are events: look for them, too
	After        Cursor
	Limit        int
}

// Cursor is the place after a line. Its zero value is the start.
type Cursor struct {
	Part    int    `json:"p"`
	Number  int64  `json:"n,omitempty"` // a time of registration, or the id of an event
	ID      string `json:"i,omitempty"` // of a client
	Subject string `json:"s,omitempty"`
}

// Reader reads who had access. It is safe for concurrent use.
type Reader struct {
	db  *database.DB
	now func() time.Time
}

// New is for storage.New.
func New(db *database.DB, now func() time.Time) *Reader { return &Reader{db, now} }

// A part lists lines of one source after a cursor: up to limit, the cursor after the last one, and whether there are more. It may
// leave lines out, which then do not fill the limit.
type part func(r *Reader, ctx context.Context, w *window, after Cursor, limit int) (lines []Line, last Cursor, more bool, err error)

// parts are the sources, in the order of the list.
var parts = []part{(*Reader).registered, (*Reader).consented, (*Reader).asserted, (*Reader).withdrawn}

// Parts is how many parts a cursor can name.
func Parts() int { return len(parts) }

// window is the time that is asked about.
type window struct {
	since, until, now int64 // Unix milliseconds
	filter            *Filter
}

// List returns lines, and the cursor of the next page; nil: there is none. A page may have fewer lines than the limit.
//
// Registrations and rules come first, then people. Whoever could have got a token in the window is listed: what is told of the tokens
// is what is still known.
func (r *Reader) List(ctx context.Context, filter Filter) (lines []Line, next *Cursor, err error) {
	now := r.now()
	if filter.Until.IsZero() || filter.Until.After(now) {
		filter.Until = now.Add(time.Millisecond)
	}
	w := &window{since: millis(filter.Since), until: millis(filter.Until), now: millis(now), filter: &filter}
	for cursor := filter.After; cursor.Part < len(parts); {
		got, last, more, err := parts[cursor.Part](r, ctx, w, cursor, filter.Limit-len(lines))
		if err != nil {
			return nil, nil, err
		}
		lines = append(lines, got...)
		part := cursor.Part
		if cursor = last; !more {
			part, cursor = part+1, Cursor{}
		}
		cursor.Part = part
		if cursor.Part < len(parts) && (len(lines) >= filter.Limit || more && len(lines) > 0) {
			return lines, &cursor, nil
		}
	}
	return lines, nil, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the time of milliseconds; zero: there is none.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
