package storage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// AuditFilter says which events [Store.ListAudit] returns. The zero value means the first page of all.
type AuditFilter struct {
	Since, Until            time.Time // Since ≤ time < Until; zero: unbounded
	ClientID, Action, Actor string
	After                   int64 // only events with a greater id
	Limit                   int   // default 50
}

// ListAudit returns events, oldest first, and whether there are more. To follow the log, ask again with After set to
// the id of the last event seen: an event never appears in front of one that was visible before.
func (s *Store) ListAudit(ctx context.Context, filter AuditFilter) (events []AuditEvent, more bool, err error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	where, args := []string{"id > ?"}, []any{filter.After}
	add := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if !filter.Since.IsZero() {
		add("time >= ?", millis(filter.Since))
		if filter.After == 0 { // skip what is older by the index; later pages have their cursor
			add("id >= COALESCE((SELECT MIN(id) FROM {audit_events} WHERE time >= ?), 0)", millis(filter.Since))
		}
	}
	if !filter.Until.IsZero() {
		add("time < ?", millis(filter.Until))
	}
	for _, equal := range [][2]string{{"client_id = ?", filter.ClientID}, {"action = ?", filter.Action}, {"actor = ?", filter.Actor}} {
		if equal[1] != "" {
			add(equal[0], equal[1])
		}
	}
	stored, err := s.auditEvents(ctx, strings.Join(where, " AND "), append(args, filter.Limit+1)...)
	if err != nil {
		return nil, false, err
	}
	for _, event := range stored {
		if len(events) == filter.Limit {
			return events, true, nil
		}
		events = append(events, event.AuditEvent)
	}
	return events, false, nil
}

// storedEvent is an event as it is in the database, hashes included.
type storedEvent struct {
	AuditEvent
	previous, stored []byte
}

// auditEvents reads events in the order of their ids; the last argument is the limit.
func (s *Store) auditEvents(ctx context.Context, where string, args ...any) ([]storedEvent, error) {
	rows, err := s.db.Read(ctx).Query(`SELECT `+auditColumns+` FROM {audit_events} WHERE `+where+` ORDER BY id LIMIT ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("storage: read audit events: %w", err)
	}
	defer rows.Close()
	var events []storedEvent
	for rows.Next() {
		var e storedEvent
		var at int64
		var changes string
		if err := rows.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.ClientID, &e.TokenID, &e.RequestID, &e.IP, &e.Outcome, &changes, &e.previous, &e.stored); err != nil {
			return nil, fmt.Errorf("storage: read audit events: %w", err)
		}
		e.Time = fromMillis(at)
		if changes != "" {
			e.Changes = json.RawMessage(changes)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read audit events: %w", err)
	}
	return events, nil
}

// chainEnds are the two ends of the chain: what is left of it starts after pruned and stops at last.
type chainEnds struct {
	lastID, prunedID     int64
	lastHash, prunedHash []byte
}

func (s *Store) chainEnds(ctx context.Context) (c chainEnds, err error) {
	err = s.db.Read(ctx).QueryRow(`SELECT last_id, last_hash, pruned_id, pruned_hash FROM {audit_chain} WHERE chain = 'main'`).
		Scan(&c.lastID, &c.lastHash, &c.prunedID, &c.prunedHash)
	if err != nil {
		return c, fmt.Errorf("storage: read the audit chain: %w", err)
	}
	return c, nil
}

const auditBatch = 1000

// VerifyAudit recomputes the chain from its first event to its last. count is how many events are there and in order;
// firstBad is the id of the first one that was changed, removed or put in, 0 when there is none. progress, if not nil,
// is told how many events have been read. An err says that the events could not be read, and nothing about them.
func (s *Store) VerifyAudit(ctx context.Context, progress func(n int64)) (count, firstBad int64, err error) {
	for {
		ends, err := s.chainEnds(ctx)
		if err != nil {
			return 0, 0, err
		}
		count, firstBad, err := s.verifyChain(ctx, ends, progress)
		if err != nil || firstBad == 0 {
			return count, 0, err
		}
		now, err := s.chainEnds(ctx)
		if err != nil {
			return 0, 0, err
		}
		if now.prunedID == ends.prunedID {
			return count, firstBad, nil
		}
		// Pruned while we read: start again from the new end.
	}
}

func (s *Store) verifyChain(ctx context.Context, ends chainEnds, progress func(n int64)) (count, firstBad int64, err error) {
	var stray sql.NullInt64 // outside of the chain's ends
	err = s.db.Read(ctx).QueryRow(`SELECT MIN(e.id) FROM {audit_events} e JOIN {audit_chain} c ON c.chain = 'main'
		WHERE e.id <= c.pruned_id OR e.id > c.last_id`).Scan(&stray)
	if err != nil {
		return 0, 0, fmt.Errorf("storage: read audit events: %w", err)
	}
	if stray.Valid {
		return 0, max(stray.Int64, 1), nil // 0 would mean that there is none
	}
	id, previous := ends.prunedID, ends.prunedHash
	for id < ends.lastID {
		events, err := s.auditEvents(ctx, "id > ? AND id <= ?", id, ends.lastID, auditBatch)
		if err != nil {
			return 0, 0, err
		}
		if len(events) == 0 {
			return count, id + 1, nil // cut off at the end
		}
		for i := range events {
			e := &events[i]
			if e.ID != id+1 || !bytes.Equal(e.previous, previous) || !bytes.Equal(e.stored, e.hash(previous)) {
				return count, id + 1, nil
			}
			id, previous = e.ID, e.stored
			count++
		}
		if progress != nil {
			progress(count)
		}
	}
	if !bytes.Equal(previous, ends.lastHash) {
		return count, ends.lastID, nil
	}
	return count, 0, nil
}

// pruneLimit bounds how many events one transaction takes away.
const pruneLimit = 10_000

// PruneAudit removes events that are older than before and tells how many. What is left stays verifiable: the hash of
// the last event that went is kept. The removal is an event itself.
func (s *Store) PruneAudit(ctx context.Context, before time.Time) (removed int64, err error) {
	if now := s.now(); before.After(now) {
		before = now // the event of the removal itself must stay
	}
	for {
		var n int64
		err := s.Atomically(ctx, func(ctx context.Context) (err error) {
			n, err = s.pruneAudit(ctx, before)
			return err
		})
		if err != nil || n == 0 {
			return removed, err
		}
		removed += n
	}
}

func (s *Store) pruneAudit(ctx context.Context, before time.Time) (int64, error) {
	// Locks the chain. Clocks of replicas may differ, so the ids decide: up to the first event that is to stay.
	if _, err := s.db.Run(ctx, `UPDATE {audit_chain} SET pruned_id = pruned_id WHERE chain = 'main'`); err != nil {
		return 0, fmt.Errorf("storage: lock the audit chain: %w", err)
	}
	ends, err := s.chainEnds(ctx)
	if err != nil {
		return 0, err
	}
	var keep sql.NullInt64
	err = s.db.Read(ctx).QueryRow(`SELECT MIN(id) FROM {audit_events} WHERE time >= ?`, millis(before)).Scan(&keep)
	if err != nil {
		return 0, fmt.Errorf("storage: read audit events: %w", err)
	}
	last := min(ends.lastID, ends.prunedID+pruneLimit)
	if keep.Valid {
		last = min(last, keep.Int64-1)
	}
	if last <= ends.prunedID {
		return 0, nil
	}
	_, err = s.db.Run(ctx, `UPDATE {audit_chain} SET pruned_id = ?, pruned_hash = (SELECT hash FROM {audit_events} WHERE id = ?) WHERE chain = 'main'`, last, last)
	if err != nil {
		return 0, fmt.Errorf("storage: shorten the audit chain: %w", err)
	}
	n, err := s.db.Run(ctx, `DELETE FROM {audit_events} WHERE id <= ?`, last)
	if err != nil {
		return 0, fmt.Errorf("storage: remove audit events: %w", err)
	}
	changes := fmt.Sprintf(`{"events":{"before":%d,"after":0}}`, n)
	return n, s.AppendAudit(ctx, AuditEvent{Actor: "system", Action: "audit.pruned", Changes: json.RawMessage(changes)})
}
