package storage

import (
	"fmt"
	"testing"
	"time"
)

func TestTimesOfLastUseAreWrittenCoarselyAndNeverBackwards(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		request := s.authenticated(t, "machine")
		if err := s.CreateAccessTokenSession(t.Context(), "signature", request); err != nil {
			t.Fatal(err)
		}
		key := &AdminKey{Name: "ops", Role: RoleRead}
		if err := s.CreateAdminKey(t.Context(), key, someKey); err != nil {
			t.Fatal(err)
		}
		step := func(name string, wait time.Duration, want time.Time) {
			t.Helper()
			clock.forward(wait)
			if err := s.SecretUsed(t.Context(), request.Client, []byte(fastHash+"machine")); err != nil {
				t.Fatal(err)
			}
			s.TokenUsed(TokenID("signature"))
			if _, err := s.FindAdminKey(t.Context(), someKey); err != nil {
				t.Fatal(err)
			}
			if err := s.FlushUsage(t.Context()); err != nil {
				t.Fatal(err)
			}
			for table, id := range map[string]any{"clients": "machine", "client_secrets": "secret-of-machine", "admin_keys": key.ID} {
				var at int64
				if err := s.db.QueryRowContext(t.Context(), `SELECT last_used_at FROM `+table+` WHERE id = ?`, id).Scan(&at); err != nil || at != millis(want) {
					t.Errorf("%s: %s was last used at %v (%v), want %v", name, table, fromMillis(at), err, want)
				}
			}
			tokens, _, err := s.ListTokens(t.Context(), "machine", TokenFilter{})
			if err != nil || len(tokens) != 1 || !tokens[0].LastUsedAt.Equal(want) {
				t.Errorf("%s: %v (%v), want %v", name, tokens, err, want)
			}
		}
		first := clock.now()
		step("first", 0, first)
		step("a moment later", usageResolution-time.Millisecond, first)
		step("later", time.Millisecond, first.Add(usageResolution))
		step("a clock that went backwards", -time.Hour, first.Add(usageResolution))
	})
}

func TestWhatIsRememberedOfUseIsBounded(t *testing.T) {
	var u usage
	for i := range usageLimit + 10 {
		u.note(usedClients, fmt.Sprint(i), 1)
	}
	u.note(usedClients, "0", 2)
	seen := u.take()[usedClients]
	if len(seen) != usageLimit || seen["0"] != 2 {
		t.Errorf("%d remembered, want %d", len(seen), usageLimit)
	}
	if len(u.take()[usedClients]) != 0 {
		t.Error("what was taken is still there")
	}
	s := testEngine{"sqlite", newSQLiteFile}.store(t)
	s.TokenUsed("no token id")
	s.TokenUsed("AAAA")
	if n := len(s.usage.take()[usedTokens]); n != 0 {
		t.Errorf("%d tokens remembered that cannot exist", n)
	}
}
