// Package audit keeps the records of an operator: a log of who did what, in which an alteration shows; the keys of the admin
// API; the answers to requests with an Idempotency-Key; and settings that must not change. A store has them all: see
// storage.Store.Audit, AdminKeys, IdempotencyKeys and Settings.
package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fosite-mcp/internal/lengths"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Event says who did what, to what, and how it ended. It never holds a secret or a token.
type Event struct {
	ID        int64     // 1, 2, 3, … without gaps, in the order of commit; set when it is stored
	Time      time.Time // set by [Log.Append]
	Actor     string    // name of the admin key; the origin's when empty, else "system"
	Action    string    // for example "client.registered"
	ClientID  string
	TokenID   string // storage.TokenID
	RequestID string // the origin's when empty
	IP        string // the origin's when empty
	Outcome   string // "success" when empty
	// Changes maps the names of changed fields to {"before":…,"after":…}; nil: nothing to tell.
	Changes json.RawMessage
}

// The outcomes of audit events.
const (
	OutcomeSuccess = "success"
	OutcomeFailure = "failure"
)

// Origin is what all events of one request have in common.
type Origin struct{ Actor, RequestID, IP string }

// WithOrigin returns a context whose audit events get the origin's values where they have none of their own. An empty value
// changes nothing, and neither does an IP that is no address.
func WithOrigin(ctx context.Context, origin Origin) context.Context {
	info := reqinfo.From(ctx)
	info.Actor, info.ID = cmp.Or(origin.Actor, info.Actor), cmp.Or(origin.RequestID, info.ID)
	if address, err := netip.ParseAddr(origin.IP); err == nil {
		info.Address = address
	}
	return reqinfo.With(ctx, info)
}

// OriginFrom is the origin of events in ctx. [WithOrigin] sets it, and so does the server for each request.
func OriginFrom(ctx context.Context) Origin {
	info := reqinfo.From(ctx)
	origin := Origin{Actor: info.Actor, RequestID: info.ID}
	if info.Address.IsValid() {
		origin.IP = info.Address.String()
	}
	return origin
}

// Filled is the event as the log stores it, with the origin of ctx. A host that keeps events elsewhere uses it too.
func (e Event) Filled(ctx context.Context, now time.Time) Event {
	origin := OriginFrom(ctx)
	e.Time = now.UTC().Truncate(time.Millisecond)
	e.Actor = cmp.Or(e.Actor, origin.Actor, "system")
	e.RequestID = cmp.Or(e.RequestID, origin.RequestID)
	e.IP = cmp.Or(e.IP, origin.IP)
	e.Outcome = cmp.Or(e.Outcome, OutcomeSuccess)
	for _, field := range []*string{&e.Actor, &e.Action, &e.ClientID, &e.TokenID, &e.RequestID, &e.IP, &e.Outcome} {
		*field = printable(*field)
	}
	return e
}

// maxText bounds the fields of an event, because a stranger can send some of them.
const maxText = 256

// printable makes s fit to be stored and printed.
func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// hash is the SHA-256 of the previous hash and every field. The next event points to it. Each field has its length in front,
// so that no two events have the same encoding.
func (e *Event) hash(previous []byte) []byte {
	var room [1024]byte                                    // most events fit in
	text := lengths.Append(room[:0], "fosite-mcp audit 1") // the version of the chain
	text = lengths.Append(text, previous)
	text = lengths.Append(text, strconv.FormatInt(e.ID, 10))
	text = lengths.Append(text, strconv.FormatInt(model.Millis(e.Time), 10))
	for _, field := range []string{e.Actor, e.Action, e.ClientID, e.TokenID, e.RequestID, e.IP, e.Outcome} {
		text = lengths.Append(text, field)
	}
	sum := sha256.Sum256(lengths.Append(text, e.Changes))
	return sum[:]
}

// After encodes changes that have no state before them.
func After(fields map[string]any) (json.RawMessage, error) { return Changes(nil, fields) }

// Changes encodes what fields were before, and are after a change.
func Changes(before, after map[string]any) (json.RawMessage, error) {
	type change struct {
		After  *any `json:"after,omitempty"`
		Before *any `json:"before,omitempty"`
	}
	changes := make(map[string]change, max(len(before), len(after)))
	for name, value := range after {
		changes[name] = change{After: &value}
	}
	for name, value := range before {
		changes[name] = change{changes[name].After, &value}
	}
	encoded, err := json.Marshal(changes)
	return encoded, database.Wrap(err, "encode an audit event")
}

func eventOf(row *model.AuditEvent) Event {
	return Event{
		ID: row.ID, Time: row.Time.Time, Actor: row.Actor, Action: row.Action, ClientID: row.ClientID, TokenID: row.TokenID,
		RequestID: row.RequestID, IP: row.IP, Outcome: row.Outcome, Changes: json.RawMessage(row.Changes),
	}
}
