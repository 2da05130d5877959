package storage

import (
	"context"
	"os"
	"testing"
	"time"

	"fosite-mcp/storage/internal/migration"
	"fosite-mcp/storage/internal/model"
)

// What a replica of the version before revokes while the migration runs is in the feed.
func TestFeedHasWhatEndsWhileItIsMade(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		if !s.db.Postgres {
			return // one writes at a time
		}
		if os.Getenv("FOSITE_MCP_TEST_TABLE_PREFIX") != "" {
			return // the statements below have the usual names in them
		}
		request := s.authenticated(t, "machine")
		s.issueFor(t, "token", request)
		host := s.db.Host()
		for _, statement := range []string{
			"DROP TABLE " + s.db.Table("revocations"),
			"DROP FUNCTION revocations_of_token, revocations_of_grant, revocations_of_client, revocations_of_changed, revocations_of_deleted, revocations_of_secret CASCADE",
			"DELETE FROM fosite_mcp_migrations WHERE version_id % 1000 = 8",
		} {
			if err := host.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		old := host.Begin()
		if err := old.Exec("UPDATE grants SET revoked_at = 5 WHERE id = ?", request.ID).Error; err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- migration.New(host, model.Parts()...).Up(context.Background()) }()
		for waiting := 0; waiting == 0; {
			if err := host.Raw("SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'grants'::regclass").Scan(&waiting).Error; err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				t.Fatalf("the migration did not wait: %v", err)
			default:
			}
		}
		if err := old.Commit().Error; err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		beginning := ""
		if all := s.revoked(t, &beginning, 100); !tells(all, "token", "", time.Time{}) {
			t.Errorf("from the beginning: %+v, want the token", all)
		}
	})
}

// A client's tokens may end up to a time that is still to come. The entry is there until then.
func TestFeedRemembersAnEndThatIsStillToCome(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		clock.at = time.Now()
		s := e.storeWithClients(t, WithClock(clock.now))
		if err := s.RevokeClientBefore(t.Context(), "machine", clock.now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		s.addClient(t, "other")
		if err := s.RevokeClient(t.Context(), "other"); err != nil { // the newest row stays in any case
			t.Fatal(err)
		}
		clock.forward(10 * time.Minute)
		if _, err := s.CleanUp(t.Context(), CleanUp{}); err != nil {
			t.Fatal(err)
		}
		request := s.authenticated(t, "machine")
		s.issueFor(t, "dead", request)
		beginning := ""
		if all := s.revoked(t, &beginning, 100); !tells(all, "dead", "machine", request.RequestedAt) {
			t.Errorf("from the beginning: %+v, want the client", all)
		}
	})
}

// Of two changes of a client in one transaction the one that reaches further counts.
func TestFeedTellsTheFurtherOfTwoChanges(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		cursor := s.feedCursor(t)
		err := s.Atomically(t.Context(), func(ctx context.Context) error {
			if err := s.RevokeClient(ctx, "machine"); err != nil {
				return err
			}
			return s.RevokeClientBefore(ctx, "machine", time.Now().Add(time.Hour))
		})
		if err != nil {
			t.Fatal(err)
		}
		if all := s.revoked(t, cursor, 100); !tells(all, "dead", "machine", time.Now().Add(30*time.Minute)) {
			t.Errorf("%+v, want the client with a time in an hour", all)
		}
	})
}

// A host's transaction may take long. What was issued until it committed has ended as well.
func TestFeedCountsToTheEndOfALongTransaction(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		clock.at = time.Now()
		s := e.storeWithClients(t, WithClock(clock.now))
		if !s.db.Postgres {
			return // nothing is issued meanwhile
		}
		cursor := s.feedCursor(t)
		tx := s.db.Host().Begin()
		if err := s.RevokeClient(WithTx(t.Context(), tx), "machine"); err != nil {
			t.Fatal(err)
		}
		clock.forward(10 * time.Minute)
		request := s.authenticated(t, "machine")
		request.RequestedAt = clock.now()
		s.issueFor(t, "dead", request)
		if err := tx.Commit().Error; err != nil {
			t.Fatal(err)
		}
		if all := s.revoked(t, cursor, 100); !tells(all, "dead", "machine", request.RequestedAt) {
			t.Errorf("%+v, issued at %v", all, request.RequestedAt)
		}
	})
}

// What is revoked while a trigger is missing is in no row. So readers begin anew.
func TestFeedBeginsAnewAfterATriggerWasMissing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		s.issueFor(t, "token", request)
		cursor := s.feedCursor(t)
		host, name := s.db.Host(), s.db.IndexName("grants", "ended")
		var again string
		drop, find := `DROP TRIGGER "`+name+`"`, "SELECT sql FROM sqlite_master WHERE name = ?"
		if s.db.Postgres {
			drop, find = drop+` ON `+s.db.Table("grants"), "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = ? AND tgrelid = '"+s.db.Table("grants")+"'::regclass"
		}
		if err := host.Raw(find, name).Scan(&again).Error; err != nil || again == "" {
			t.Fatal(err, again)
		}
		if err := host.Exec(drop).Error; err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeGrant(t.Context(), request.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Revocations(t.Context(), *cursor, nil, 1); err == nil {
			t.Error("the feed is read without a trigger")
		}
		if err := host.Exec(again).Error; err != nil {
			t.Fatal(err)
		}
		page, err := s.Revocations(t.Context(), *cursor, []string{feedResource}, 10)
		if err != nil || !page.Reset {
			t.Errorf("%+v, %v, want a reset", page, err)
		}
	})
}
