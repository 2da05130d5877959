package audit_test

import (
	"testing"
	"time"

	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
)

// Who reads the log must know from when on it is whole.
func TestTheLogKnowsSinceWhenItIsWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := &testClock{at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
		s := e.store(t, storage.WithClock(clock.now))
		appendAudit(t, s, 2)
		clock.at = clock.at.Add(time.Hour)
		later := clock.at
		appendAudit(t, s, 2)
		if since, err := s.Audit().Since(t.Context()); !since.IsZero() || err != nil {
			t.Errorf("nothing was pruned, and it is whole since %v (%v)", since, err)
		}
		if _, err := s.Audit().Prune(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		if since, err := s.Audit().Since(t.Context()); !since.Equal(later) || err != nil {
			t.Errorf("it is whole since %v (%v), want %v", since, err, later)
		}
	})
}

func TestASummaryCountsEventsThatAreAlike(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := &testClock{at: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
		s := e.store(t, storage.WithClock(clock.now))
		first := clock.at
		for _, event := range []audit.Event{
			{Action: "token.issued", ClientID: "a", TokenID: "1", RequestID: "r1"}, {Action: "token.issued", ClientID: "a", TokenID: "2", RequestID: "r2"},
			{Action: "token.issued", ClientID: "a", IP: "192.0.2.1"}, {Action: "token.issued", ClientID: "b"},
		} {
			if err := s.Audit().Append(t.Context(), event); err != nil {
				t.Fatal(err)
			}
			clock.at = clock.at.Add(time.Minute)
		}
		lines, more, err := s.Audit().Summarize(t.Context(), audit.Filter{ClientID: "a", Limit: 5}, "")
		if err != nil || more || len(lines) != 2 || lines[0].IP != "192.0.2.1" || lines[1].Count != 2 || !lines[1].First.Equal(first) || !lines[1].Last.Equal(first.Add(time.Minute)) {
			t.Errorf("%v %v %+v", err, more, lines)
		}
		lines, more, err = s.Audit().Summarize(t.Context(), audit.Filter{ClientID: "a", Limit: 1, Since: first.Add(time.Second), Until: first.Add(time.Hour)}, "")
		if err != nil || !more || len(lines) != 1 {
			t.Errorf("%v %v %+v", err, more, lines)
		}
		lines, _, err = s.Audit().Summarize(t.Context(), audit.Filter{ClientID: "a", Limit: 5, Since: first.Add(time.Second), Until: first.Add(2 * time.Minute)}, "")
		if err != nil || len(lines) != 1 || lines[0].Count != 1 {
			t.Errorf("of a window: %v %+v", err, lines)
		}
	})
}
