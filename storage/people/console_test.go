package people_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
)

// The sessions of administrators and those of people are kept in one table. A token is of one kind alone.
func TestSessionsOfTheConsole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		ctx, end := t.Context(), s.now.Add(time.Hour)
		key := &audit.AdminKey{Name: "ops", Role: audit.RoleRead}
		if err := s.AdminKeys().Create(ctx, key, "mcp_ak_0123456789abcdefghij"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			s.ConsoleSessions().Create(ctx, "of-ops", key, []byte(`{}`), end),
			s.LoginSessions().Create(ctx, "of-alice", "alice", "alice", "oidc", []byte(`{}`), end),
		); err != nil {
			t.Fatal(err)
		}
		find := func(what string, find func() error, want error) {
			t.Helper()
			if err := find(); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		console := func(token string) func() error {
			return func() error { _, _, err := s.ConsoleSessions().Find(ctx, token); return err }
		}
		person := func(token string) func() error {
			return func() error { _, _, err := s.LoginSessions().Find(ctx, token); return err }
		}
		find("the console's own", console("of-ops"), nil)
		find("a person's at the console", console("of-alice"), fosite.ErrNotFound)
		find("the console's as a person's", person("of-ops"), fosite.ErrNotFound)
		find("a person's own", person("of-alice"), nil)

		s.now = s.now.Add(time.Minute)
		if err := s.ConsoleSessions().Touch(ctx, "of-ops"); err != nil {
			t.Error(err)
		}
		if _, seen, err := s.ConsoleSessions().Find(ctx, "of-ops"); err != nil || !seen.Equal(s.now) {
			t.Errorf("seen at %v, error %v", seen, err)
		}
		if err := s.ConsoleSessions().Delete(ctx, "of-ops"); err != nil {
			t.Error(err)
		}
		find("after logging out", console("of-ops"), fosite.ErrNotFound)

		found, err := s.AdminKeys().FindID(ctx, key.ID)
		if err != nil || found.Name != "ops" {
			t.Errorf("%+v, error %v", found, err)
		}
		if err := s.AdminKeys().Revoke(ctx, "ops"); err != nil {
			t.Error(err)
		}
		find("the key after it was revoked", func() error { _, err := s.AdminKeys().FindID(ctx, key.ID); return err }, fosite.ErrNotFound)
	})
}
