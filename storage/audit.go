package storage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// AuditEvent says who did what, to what, and how it ended. It never holds a secret or a token.
type AuditEvent struct {
	ID        int64     // 1, 2, 3, … without gaps, in the order of commit; set by AppendAudit
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

// AuditOriginFrom is the origin that [WithAuditOrigin] has put into ctx, or the zero value.
func AuditOriginFrom(ctx context.Context) AuditOrigin {
	origin, _ := ctx.Value(auditOriginKey{}).(AuditOrigin)
	return origin
}

// AppendAudit adds an event to the chain. Call it inside [Store.InTransaction], together with the change it tells of
// and after it: events take turns until the transaction ends.
func (s *Store) AppendAudit(ctx context.Context, event AuditEvent) error {
	event.fill(AuditOriginFrom(ctx), s.now())
	return s.write(ctx, func(ctx context.Context, q queryer) error {
		event := event // fn may run more than once
		var previous []byte
		err := q.QueryRowContext(ctx, `UPDATE audit_chain SET last_id = last_id + 1 WHERE chain = 'main' RETURNING last_id, last_hash`).
			Scan(&event.ID, &previous)
		if err != nil {
			return fmt.Errorf("storage: lock the audit chain: %w", err)
		}
		hash := event.hash(previous)
		_, err = q.ExecContext(ctx, insertAuditEvent, event.ID, millis(event.Time), event.Actor, event.Action, event.ClientID,
			event.TokenID, event.RequestID, event.IP, event.Outcome, string(event.Changes), previous, hash)
		if err != nil {
			return fmt.Errorf("storage: store an audit event: %w", err)
		}
		if _, err := q.ExecContext(ctx, `UPDATE audit_chain SET last_hash = ? WHERE chain = 'main'`, hash); err != nil {
			return fmt.Errorf("storage: extend the audit chain: %w", err)
		}
		return nil
	})
}

const auditColumns = `id, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash`

const insertAuditEvent = `INSERT INTO audit_events (` + auditColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

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
	sum := sha256.New()
	fields := []string{
		"fosite-mcp audit 1", string(previous), strconv.FormatInt(e.ID, 10), strconv.FormatInt(millis(e.Time), 10), e.Actor, e.Action,
		e.ClientID, e.TokenID, e.RequestID, e.IP, e.Outcome, string(e.Changes),
	}
	for _, field := range fields {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(field)))
		sum.Write(length[:])
		sum.Write([]byte(field))
	}
	return sum.Sum(nil)
}
