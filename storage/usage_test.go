package storage

import (
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/usage"

	"fosite-mcp/storage/internal/model"
)

func TestTimesOfLastUseAreWrittenCoarselyAndNeverBackwards(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		request := s.authenticated(t, "machine")
		if err := s.CreateAccessTokenSession(t.Context(), "signature", request); err != nil {
			t.Fatal(err)
		}
		const someKey = "mcp_ak_0123456789abcdefghij"
		key := &audit.AdminKey{Name: "ops", Role: audit.RoleRead}
		if err := s.AdminKeys().Create(t.Context(), key, someKey); err != nil {
			t.Fatal(err)
		}
		step := func(name string, wait time.Duration, want time.Time) {
			t.Helper()
			clock.forward(wait)
			if err := s.SecretUsed(t.Context(), request.Client, []byte(fastHash+"machine")); err != nil {
				t.Fatal(err)
			}
			s.TokenUsed(TokenID("signature"))
			if _, err := s.AdminKeys().Find(t.Context(), someKey); err != nil {
				t.Fatal(err)
			}
			if err := s.FlushUsage(t.Context()); err != nil {
				t.Fatal(err)
			}
			for table, id := range map[string]any{"clients": "machine", "client_secrets": "secret-of-machine", "admin_keys": key.ID} {
				var at int64
				if err := s.db.Read(t.Context()).QueryRow(`SELECT last_used_at FROM {`+table+`} WHERE id = ?`, id).Scan(&at); err != nil || at != model.Millis(want) {
					t.Errorf("%s: %s was last used at %v (%v), want %v", name, table, time.UnixMilli(at).UTC(), err, want)
				}
			}
			tokens, _, err := s.ListTokens(t.Context(), "machine", TokenFilter{})
			if err != nil || len(tokens) != 1 || !tokens[0].LastUsedAt.Equal(want) {
				t.Errorf("%s: %v (%v), want %v", name, tokens, err, want)
			}
		}
		first := clock.now()
		step("first", 0, first)
		step("a moment later", usage.Resolution-time.Millisecond, first)
		step("later", time.Millisecond, first.Add(usage.Resolution))
		step("a clock that went backwards", -time.Hour, first.Add(usage.Resolution))
	})
}

func TestOnlyIDsOfTokensAreRemembered(t *testing.T) {
	s := testEngine{"sqlite", newSQLiteFile}.store(t)
	s.TokenUsed("no token id")
	s.TokenUsed("AAAA")
	if n := s.tokensUsed.Pending(); n != 0 {
		t.Errorf("%d tokens remembered that cannot exist", n)
	}
}

// An outage of the database loses no time of last use, and a newer one is not put back to an older.
func TestWhatCannotBeWrittenOfUseWaitsForTheNextTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		if err := s.CreateAccessTokenSession(t.Context(), "signature", s.authenticated(t, "machine")); err != nil {
			t.Fatal(err)
		}
		rename := func(from, to string) {
			t.Helper()
			if _, err := s.db.Run(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
				t.Fatal(err)
			}
		}
		client, err := s.GetClient(t.Context(), "machine")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SecretUsed(t.Context(), client, nil); err != nil {
			t.Fatal(err)
		}
		s.TokenUsed(TokenID("signature"))
		rename("{access_tokens}", "gone")
		if err := s.FlushUsage(t.Context()); err == nil {
			t.Fatal("a write without a table succeeded")
		}
		if found, err := s.Clients().Find(t.Context(), "machine"); err != nil || !found.LastUsedAt.Equal(clock.now()) {
			t.Errorf("the client was last used at %v (%v), want %v: one table's outage is not another's", found.LastUsedAt, err, clock.now())
		}
		first := clock.now()
		clock.forward(time.Hour)
		s.TokenUsed(TokenID("other"))
		if err := s.FlushUsage(t.Context()); err == nil {
			t.Fatal("a write without a table succeeded")
		}
		rename("gone", "{access_tokens}")
		if err := s.FlushUsage(t.Context()); err != nil {
			t.Fatal(err)
		}
		tokens, _, err := s.ListTokens(t.Context(), "machine", TokenFilter{})
		if err != nil || len(tokens) != 1 || !tokens[0].LastUsedAt.Equal(first) {
			t.Errorf("%v (%v), want %v", tokens, err, first)
		}
	})
}

func TestTheUseOfASecretCostsNoWrite(t *testing.T) {
	s := testEngine{"sqlite", newSQLiteFile}.storeWithClients(t)
	client, err := s.GetClient(t.Context(), "machine")
	if err != nil {
		t.Fatal(err)
	}
	counting := countStatements(t, s)
	for _, hash := range [][]byte{[]byte(fastHash + "machine"), []byte("unknown"), nil} {
		if err := s.SecretUsed(t.Context(), client, hash); err != nil {
			t.Error(err)
		}
	}
	if err := s.SecretUsed(t.Context(), &fosite.DefaultClient{ID: "stranger"}, nil); err != nil {
		t.Error(err)
	}
	if counting.number != 0 {
		t.Errorf("%d writes", counting.number)
	}
}
