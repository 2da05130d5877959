package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/enginetest"
)

// appendAudit appends n events in transactions of their own.
func appendAudit(t *testing.T, s *fixture, n int) {
	t.Helper()
	for i := range n {
		event := audit.Event{Actor: "alice", Action: "client.changed", ClientID: fmt.Sprintf("c%d", i), Changes: []byte(`{"a":{"after":1}}`)}
		if err := s.Audit().Append(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAlteredAuditLogShows(t *testing.T) {
	alterations := map[string]struct {
		statement string
		bad       int64
	}{
		"nothing":                      {`UPDATE {settings} SET value = ''`, 0},
		"one byte of the actor":        {`UPDATE {audit_events} SET actor = 'alicf' WHERE id = 3`, 3},
		"a byte moved between fields":  {`UPDATE {audit_events} SET actor = 'alic', action = 'eclient.changed' WHERE id = 3`, 3},
		"the time":                     {`UPDATE {audit_events} SET time = time + 1 WHERE id = 3`, 3},
		"a space in the changes":       {`UPDATE {audit_events} SET changes = '{"a": {"after":1}}' WHERE id = 3`, 3},
		"the IP":                       {`UPDATE {audit_events} SET ip = '192.0.2.7' WHERE id = 5`, 5},
		"the outcome":                  {`UPDATE {audit_events} SET outcome = 'failure' WHERE id = 1`, 1},
		"an event removed":             {`DELETE FROM {audit_events} WHERE id = 3`, 3},
		"the first removed":            {`DELETE FROM {audit_events} WHERE id = 1`, 1},
		"the last removed":             {`DELETE FROM {audit_events} WHERE id = 5`, 5},
		"all removed":                  {`DELETE FROM {audit_events}`, 1},
		"two swapped":                  {`UPDATE {audit_events} SET id = CASE id WHEN 2 THEN 103 ELSE 102 END WHERE id IN (2, 3)`, 102},
		"an event put in front":        {`INSERT INTO {audit_events} SELECT 0, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash FROM {audit_events} WHERE id = 1`, 1},
		"an event put at the end":      {`INSERT INTO {audit_events} SELECT 9, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash FROM {audit_events} WHERE id = 1`, 9},
		"the end of the chain altered": {`UPDATE {audit_chain} SET last_hash = prev.hash FROM {audit_events} prev WHERE prev.id = 2`, 5},
	}
	errUndo := errors.New("undo the alteration")
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		appendAudit(t, s, 5)
		for name, alteration := range alterations {
			err := s.InTransaction(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
				if err := tx.Exec(enginetest.SQL(alteration.statement)).Error; err != nil {
					return err
				}
				if _, bad, err := s.Audit().Verify(ctx, nil); err != nil || bad != alteration.bad {
					t.Errorf("%s: first bad event %d (%v), want %d", name, bad, err, alteration.bad)
				}
				return errUndo
			})
			if !errors.Is(err, errUndo) {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantChain(t, s, 5, 0)
	})
}

func TestOneByteOfTheDatabaseFileShowsInTheAuditLog(t *testing.T) {
	s := onSQLite.store(t)
	appendAudit(t, s, 3)
	if err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)").Error; err != nil {
		t.Fatal(err)
	}
	var path string
	if err := s.db.Raw("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path).Error; err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	altered := strings.Replace(string(content), "alice", "alicE", 1)
	if altered == string(content) {
		t.Fatal("the file does not hold what this test wants to alter")
	}
	copied := path + ".altered"
	if err := os.WriteFile(copied, []byte(altered), 0o600); err != nil {
		t.Fatal(err)
	}
	other := storage.New(enginetest.Open(t, sqlite.Open("file:"+copied+enginetest.SQLiteSettings)))
	if _, bad, err := other.Audit().Verify(t.Context(), nil); bad == 0 || err != nil {
		t.Errorf("first bad event %d (%v), want one", bad, err)
	}
}

func TestTheAuditChainIsLinearUnderFire(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				err := s.Atomically(t.Context(), func(ctx context.Context) error {
					if err := s.Audit().Append(ctx, audit.Event{Action: "x"}); err != nil {
						return err
					}
					if i%4 == 0 {
						return errors.New("changed my mind")
					}
					return nil
				})
				if (err == nil) == (i%4 == 0) {
					t.Errorf("event %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		wantChain(t, s, 30, 0)
	})
}

func TestTheEventsOfATransactionAreInTheirOrder(t *testing.T) {
	const events = 77 // more than one statement takes
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		appendAudit(t, s, 1)
		err := s.Atomically(t.Context(), func(ctx context.Context) error {
			for i := range events {
				if err := s.Audit().Append(ctx, audit.Event{Action: fmt.Sprint(i)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stored, _, err := s.Audit().List(t.Context(), audit.Filter{After: 1, Limit: 100})
		if err != nil || len(stored) != events {
			t.Fatalf("%d events: %v", len(stored), err)
		}
		for i, event := range stored {
			if event.Action != fmt.Sprint(i) {
				t.Errorf("event %d is that of %s, want %d", event.ID, event.Action, i)
			}
		}
		wantChain(t, s, 1+events, 0)
	})
}

func TestAPrunedAuditLogStaysVerifiable(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.store(t, storage.WithClock(clock.now))
		appendAudit(t, s, 3)
		clock.forward(time.Hour)
		cut := clock.now()
		appendAudit(t, s, 2)
		if n, err := s.Audit().Prune(t.Context(), cut); n != 3 || err != nil {
			t.Fatalf("%d removed: %v", n, err)
		}
		wantChain(t, s, 3, 0) // two, and the event of the removal
		if n, err := s.Audit().Prune(t.Context(), cut); n != 0 || err != nil {
			t.Errorf("%d removed the second time: %v", n, err)
		}
		events, _, err := s.Audit().List(t.Context(), audit.Filter{})
		if err != nil || events[0].ID != 4 || events[2].Action != "audit.pruned" || events[2].Actor != "system" {
			t.Errorf("%v %v", events, err)
		}
		if err := s.db.Exec(enginetest.SQL(`DELETE FROM {audit_events} WHERE id = 4`)).Error; err != nil {
			t.Fatal(err)
		}
		if _, bad, err := s.Audit().Verify(t.Context(), nil); bad != 4 || err != nil {
			t.Errorf("first bad event %d (%v), want 4: the first one left was removed by hand", bad, err)
		}
		clock.forward(time.Hour)
		if n, err := s.Audit().Prune(t.Context(), clock.now().Add(24*time.Hour)); n != 2 || err != nil {
			t.Errorf("%d removed: %v; a time in the future means everything until now", n, err)
		}
	})
}

func TestAuditEventsHoldNothingThatCannotBeStoredOrPrinted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Actor: "bob", RequestID: "r1", IP: "192.0.2.1"})
		event := audit.Event{Action: "client.login_failed", ClientID: "a\x00b\xff\n\u202e" + strings.Repeat("x", 1000)}
		if err := s.Audit().Append(ctx, event); err != nil {
			t.Fatal(err)
		}
		events, more, err := s.Audit().List(ctx, audit.Filter{})
		if err != nil || more || len(events) != 1 {
			t.Fatal(events, more, err)
		}
		got := events[0]
		if !strings.HasPrefix(got.ClientID, "a?b???x") || len(got.ClientID) > audit.MaxText {
			t.Errorf("client id %q", got.ClientID)
		}
		if diff := cmp.Diff([]string{"bob", "r1", "192.0.2.1", audit.OutcomeSuccess}, []string{got.Actor, got.RequestID, got.IP, got.Outcome}); diff != "" {
			t.Error(diff)
		}
		wantChain(t, s, 1, 0)
	})
}

// Tables that a host's AutoMigrate has made are empty: the chain begins with the first event, and none is lost.
func TestTheChainBeginsWhereNoMigrationHasBegunIt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		db := enginetest.Open(t, e.dialector(t)())
		if err := db.AutoMigrate(storage.Models()...); err != nil {
			t.Fatal(err)
		}
		store, ctx := storage.New(db), t.Context()
		rolledBack := db.Begin()
		if err := store.Audit().Append(storage.WithTx(ctx, rolledBack), audit.Event{Action: "undone"}); err != nil {
			t.Fatal(err)
		}
		if err := store.Audit().Append(storage.WithTx(ctx, rolledBack), audit.Event{Action: "undone, too"}); err != nil {
			t.Fatal(err)
		}
		if err := rolledBack.Rollback().Error; err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := store.Audit().Append(ctx, audit.Event{Action: "test"}); err != nil {
				t.Fatal(err)
			}
		}
		if count, bad, err := store.Audit().Verify(ctx, nil); err != nil || count != 3 || bad != 0 {
			t.Errorf("%d events, the first bad one %d, error %v; want 3 and none", count, bad, err)
		}
	})
}

// On PostgreSQL one statement changes, and stores the events: were it to store none without an error, they would be lost.
func TestAnEventWithoutAChainIsAnError(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		if err := s.Audit().Append(t.Context(), audit.Event{Action: "test"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Audit().Append(t.Context(), audit.Event{Action: "test"}); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Exec(enginetest.SQL("DELETE FROM {audit_chain}")).Error; err != nil {
			t.Fatal(err)
		}
		if err := s.Audit().Append(t.Context(), audit.Event{Action: "test"}); err == nil {
			t.Error("an event was lost without a word")
		}
	})
}
