package storage

import (
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/model"
)

// withWrongClock gives the store a clock that differs from the database's. [WithClock] would replace both.
func withWrongClock(difference time.Duration) Option {
	return func(s *Store) { s.now = func() time.Time { return time.Now().Add(difference) } }
}

// A replica whose clock is 20 days ahead takes every token for one that has expired. It must not delete any of them.
func TestCleanUpBelievesNoClockThatIsAhead(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		dialector := e.dialector(t)
		right := New(openPool(t, dialector()))
		if err := right.Migrate(soon(t)); err != nil {
			t.Fatal(err)
		}
		ahead := New(openPool(t, dialector()), withWrongClock(20*24*time.Hour))
		live, ended := newTestRequest("machine"), newTestRequest("machine")
		live.Session.SetExpiresAt(fosite.AccessToken, time.Now().Add(14*24*time.Hour))
		ended.Session.SetExpiresAt(fosite.AccessToken, time.Now().Add(-time.Hour))
		for signature, request := range map[string]*fosite.Request{"live": live, "ended": ended} {
			if err := right.CreateAccessTokenSession(soon(t), signature, request); err != nil {
				t.Fatal(err)
			}
		}
		if err := right.Audit().Append(soon(t), audit.Event{Action: "client.created", Outcome: audit.OutcomeSuccess}); err != nil {
			t.Fatal(err)
		}
		tasksOf(t, ahead, Maintenance{AuditRetention: 7 * 24 * time.Hour, UnusedRegistrations: time.Hour})
		var tokens, events int
		if err := right.db.Read(soon(t)).QueryRow(`SELECT (SELECT COUNT(*) FROM {access_tokens}), (SELECT COUNT(*) FROM {audit_events} WHERE action = 'client.created')`).Scan(&tokens, &events); err != nil {
			t.Fatal(err)
		}
		want := 1
		if e.name == "sqlite" { // where the clock of the process is the only one
			want = 0
		}
		if tokens != want || events != want {
			t.Errorf("%d tokens and %d events are left, want %d of each", tokens, events, want)
		}
	})
}

// Whoever takes the lease with a wrong clock and dies keeps the others from cleaning for a minute, not for 20 days.
func TestLeaseOfACleanUpGoesByTheSharedClock(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		if e.name == "sqlite" {
			t.Skip("SQLite has no clock that processes share")
		}
		for _, difference := range []time.Duration{20 * 24 * time.Hour, -20 * 24 * time.Hour} {
			s := e.store(t, withWrongClock(difference))
			l := &lease{store: s.core, holder: "somebody"}
			if err := l.take(soon(t)); err != nil {
				t.Fatal(err)
			}
			var until int64
			if err := s.db.Read(soon(t)).QueryRow(`SELECT expires_at FROM {authorize_sessions} WHERE kind = 'cleanup'`).Scan(&until); err != nil {
				t.Fatal(err)
			}
			if left := until - model.Millis(time.Now()); left <= 0 || left > cleanUpLease.Milliseconds() {
				t.Errorf("clock %s off: the lease lasts %d ms", difference, left)
			}
		}
	})
}

func TestClockDifference(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for _, difference := range []time.Duration{0, time.Hour, -time.Hour} {
			s := e.store(t, withWrongClock(difference))
			got, err := s.ClockDifference(soon(t))
			want := difference
			if e.name == "sqlite" {
				want = 0
			}
			if off := (got - want).Abs(); err != nil || off > time.Minute || want == 0 && got != 0 {
				t.Errorf("a clock that is %s ahead: %s, %v", difference, got, err)
			}
		}
	})
}
