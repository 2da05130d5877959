package storage

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
)

// tasksOf are those that a call does, in order.
func tasksOf(t *testing.T, s *Store, o Maintenance) (done []MaintenanceTask) {
	t.Helper()
	o.Done = func(task MaintenanceTask, err error) {
		if err != nil {
			t.Errorf("task %d: %v", task, err)
		}
		done = append(done, task)
	}
	if err := s.Maintain(context.Background(), o); err != nil {
		t.Error(err)
	}
	return done
}

func TestHousekeepingDoesWhatIsDue(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.store(t, WithClock(clock.now))
		for _, c := range []struct {
			after time.Duration
			want  []MaintenanceTask
		}{
			{0, []MaintenanceTask{TaskCheck, TaskUsage, TaskCleanUp}},
			{5 * time.Second, nil},
			{9 * time.Second, []MaintenanceTask{TaskCheck}}, // a second early, as tickers are
			{46 * time.Second, []MaintenanceTask{TaskCheck, TaskUsage}},
			{4 * time.Minute, []MaintenanceTask{TaskCheck, TaskUsage, TaskCleanUp}},
			{-time.Hour, []MaintenanceTask{TaskCheck, TaskUsage, TaskCleanUp}}, // the clock was put back
		} {
			clock.forward(c.after)
			if got := tasksOf(t, s, Maintenance{}); !slices.Equal(got, c.want) {
				t.Errorf("%v later: %v, want %v", c.after, got, c.want)
			}
		}
	})
}

func TestHousekeepingDeletesAndWritesDown(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		old, fresh := newTestRequest("machine"), newTestRequest("machine")
		old.RequestedAt, fresh.RequestedAt = clock.now(), clock.now()
		old.Session.SetExpiresAt(fosite.AccessToken, clock.now().Add(time.Hour))
		for signature, request := range map[string]*fosite.Request{"old": old, "fresh": fresh} {
			if err := s.CreateAccessTokenSession(ctx, signature, request); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Audit().Append(ctx, audit.Event{Actor: "ops", Action: "test.happened"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.IdempotencyKeys().Claim(ctx, []byte("key"), []byte("request")); err != nil {
			t.Fatal(err)
		}
		clock.forward(48 * time.Hour)
		s.TokenUsed(TokenID("fresh"))

		deleted := map[string]int64{}
		tasksOf(t, s, Maintenance{AuditRetention: 24 * time.Hour, CleanUp: CleanUp{Progress: func(table string, n int64) { deleted[table] += n }}})
		if deleted["access_tokens"] != 1 {
			t.Errorf("deleted %v, want one access token", deleted)
		}
		tokens, _, err := s.ListTokens(ctx, "machine", TokenFilter{})
		if err != nil || len(tokens) != 1 || !tokens[0].LastUsedAt.Equal(clock.now()) {
			t.Errorf("tokens %+v (%v), want one that was used just now", tokens, err)
		}
		for _, table := range []string{"{idempotency_keys} WHERE key_hash IS NOT NULL", "{audit_events} WHERE action = 'test.happened'"} {
			var left int
			if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+table).Scan(&left); err != nil || left != 0 {
				t.Errorf("%d rows left of %s (%v)", left, table, err)
			}
		}
	})
}

func TestHousekeepingLeavesACleanUpElsewhereAlone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		elsewhere := &lease{store: s.core, holder: "another process"}
		if err := elsewhere.take(soon(t)); err != nil {
			t.Fatal(err)
		}
		var told error
		err := s.Maintain(soon(t), Maintenance{Done: func(task MaintenanceTask, err error) {
			if task == TaskCleanUp {
				told = err
			}
		}})
		if err != nil || !errors.Is(told, ErrCleaningElsewhere) {
			t.Errorf("answered %v and told %v, want no error and %v", err, told, ErrCleaningElsewhere)
		}
	})
}

func TestLeaseOfWhoStoppedInTheMiddleEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.store(t, WithClock(clock.now))
		dead := &lease{store: s.core, holder: "a process that was killed"}
		if err := dead.take(soon(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CleanUp(soon(t), CleanUp{}); !errors.Is(err, ErrCleaningElsewhere) {
			t.Errorf("error %v, want %v", err, ErrCleaningElsewhere)
		}
		clock.forward(cleanUpLease + time.Second)
		for range 2 { // the first one has given it back
			if n, err := s.CleanUp(soon(t), CleanUp{}); err != nil || n != 0 {
				t.Errorf("deleted %d, error %v", n, err)
			}
		}
		if err := dead.renew(soon(t)); !errors.Is(err, ErrCleaningElsewhere) {
			t.Errorf("the dead one goes on: %v", err)
		}
	})
}
