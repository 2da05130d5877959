package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"fosite-mcp/storage/internal/database"
)

// AuditEvent says who did what, to what, and how it ended. It never holds a secret or a token.
type AuditEvent struct {
	ID        int64     // 1, 2, 3, … without gaps, in the order of commit; set when it is stored
	Time      time.Time // set by AppendAudit
	Actor     string    // name of the admin key; the origin's when empty, else "system"
	Action    string    // for example "client.registered"
	ClientID  string
	TokenID   string // [TokenID]
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

// AuditOrigin is what all events of one request have in common.
type AuditOrigin struct{ Actor, RequestID, IP string }

type auditOriginKey struct{}

// WithAuditOrigin returns a context whose audit events get the origin's values where they have none of their own.
func WithAuditOrigin(ctx context.Context, origin AuditOrigin) context.Context {
	return context.WithValue(ctx, auditOriginKey{}, origin)
}

// WithAuditOriginFunc is [WithAuditOrigin] for requests of which few have events: origin is asked when there is one.
func WithAuditOriginFunc(ctx context.Context, origin func() AuditOrigin) context.Context {
	return context.WithValue(ctx, auditOriginKey{}, origin)
}

// AuditOriginFrom is the origin that [WithAuditOrigin] or [WithAuditOriginFunc] has put into ctx, or the zero value.
func AuditOriginFrom(ctx context.Context) AuditOrigin {
	switch origin := ctx.Value(auditOriginKey{}).(type) {
	case AuditOrigin:
		return origin
	case func() AuditOrigin:
		return origin()
	}
	return AuditOrigin{}
}

// AppendAudit adds an event to the chain. Call it inside [Store.InTransaction], together with the change it tells of:
// both become durable together, or neither.
func (s *Store) AppendAudit(ctx context.Context, event AuditEvent) error {
	event.fill(AuditOriginFrom(ctx), s.now())
	return s.db.Write(ctx, func(ctx context.Context, _ *database.Tx) error {
		event := event
		return s.db.Defer(ctx, &event)
	})
}

func (e *AuditEvent) fill(origin AuditOrigin, now time.Time) {
	e.Time = now.UTC().Truncate(time.Millisecond)
	e.Actor = cmp.Or(e.Actor, origin.Actor, "system")
	e.RequestID = cmp.Or(e.RequestID, origin.RequestID)
	e.IP = cmp.Or(e.IP, origin.IP)
	e.Outcome = cmp.Or(e.Outcome, OutcomeSuccess)
	for _, field := range []*string{&e.Actor, &e.Action, &e.ClientID, &e.TokenID, &e.RequestID, &e.IP, &e.Outcome} {
		*field = auditText(*field)
	}
}

// maxAuditText bounds the fields of an event: some hold what a stranger sent.
const maxAuditText = 256

// auditText makes s fit to be stored and printed.
func auditText(s string) string {
	if len(s) > maxAuditText {
		s = s[:maxAuditText]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// hash is what the next event will point to: SHA-256 over the hash before and every field, each with its length in
// front, so that no two events have the same encoding.
func (e *AuditEvent) hash(previous []byte) []byte {
	id := strconv.FormatInt(e.ID, 10)
	sum := sha256.Sum256(slices.Concat(auditHead(), previous, lengthOf(id), []byte(id), e.tail()))
	return sum[:]
}

// auditHead is what is hashed before the hash before, which has the length of every SHA-256.
func auditHead() []byte {
	const version = "fosite-mcp audit 1"
	return slices.Concat(lengthOf(version), []byte(version), binary.BigEndian.AppendUint64(nil, sha256.Size))
}

// tail is what is hashed after the id.
func (e *AuditEvent) tail() (tail []byte) {
	for _, field := range []string{strconv.FormatInt(millis(e.Time), 10), e.Actor, e.Action, e.ClientID, e.TokenID, e.RequestID, e.IP, e.Outcome, string(e.Changes)} {
		tail = append(append(tail, lengthOf(field)...), field...)
	}
	return tail
}

func lengthOf(field string) []byte { return binary.BigEndian.AppendUint64(nil, uint64(len(field))) }
