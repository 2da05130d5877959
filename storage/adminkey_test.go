package storage

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

const someKey = "mcp_ak_0123456789abcdefghij"

func TestRolesIncludeTheOnesBefore(t *testing.T) {
	for role, want := range map[Role][]bool{
		RoleRead: {true, false, false}, RoleClients: {true, true, false}, RoleAdmin: {true, true, true}, "": {false, false, false}, "root": {false, false, false},
	} {
		if diff := cmp.Diff(want, []bool{role.Allows(RoleRead), role.Allows(RoleClients), role.Allows(RoleAdmin)}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", role, diff)
		}
		if role.Allows("") || role.Allows("root") {
			t.Errorf("%q includes a role that does not exist", role)
		}
	}
}

func TestAnAdminKeyWorksUntilItExpiresOrIsRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.store(t, WithClock(clock.now))
		ctx := t.Context()
		k := &AdminKey{Name: "ci", Role: RoleClients, ExpiresAt: clock.now().Add(time.Hour)}
		if err := s.CreateAdminKey(ctx, k, someKey); err != nil {
			t.Fatal(err)
		}
		find := func(step string, want error) {
			t.Helper()
			found, err := s.FindAdminKey(ctx, someKey)
			if !errors.Is(err, want) {
				t.Fatalf("%s: %v, want %v", step, err, want)
			}
			if err == nil {
				if diff := cmp.Diff(k, found); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step, diff)
				}
			}
		}
		find("new", nil)
		for _, wrong := range []string{"", someKey + "x", strings.ToUpper(someKey), "a\x00\xff"} {
			if _, err := s.FindAdminKey(ctx, wrong); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		clock.forward(time.Hour)
		find("expired", fosite.ErrNotFound)
		clock.forward(-time.Hour)
		if err := s.RevokeAdminKey(ctx, "ci"); err != nil {
			t.Fatal(err)
		}
		find("revoked", fosite.ErrNotFound)
		if err := s.RevokeAdminKey(ctx, "ci"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		if err := s.CreateAdminKey(ctx, &AdminKey{Name: "ci", Role: RoleRead}, someKey+"2"); !errors.Is(err, ErrAdminKeyExists) {
			t.Errorf("a name is used twice: %v", err)
		}
		keys, err := s.ListAdminKeys(ctx)
		if err != nil || len(keys) != 1 || keys[0].RevokedAt.IsZero() || keys[0].Hint != "ghij" {
			t.Errorf("%v %v", keys, err)
		}
		wantChain(t, s, 2, 0)
	})
}

func TestAdminKeysThatAreRefused(t *testing.T) {
	s := testEngine{"sqlite", newSQLiteFile}.store(t)
	for name, test := range map[string]struct {
		key   AdminKey
		value string
		want  error
	}{
		"no name":      {AdminKey{Role: RoleRead}, someKey, errAdminKeyName},
		"strange name": {AdminKey{Name: "a b", Role: RoleRead}, someKey, errAdminKeyName},
		"long name":    {AdminKey{Name: strings.Repeat("x", 65), Role: RoleRead}, someKey, errAdminKeyName},
		"no role":      {AdminKey{Name: "a"}, someKey, errAdminKeyRole},
		"unknown role": {AdminKey{Name: "a", Role: "root"}, someKey, errAdminKeyRole},
		"short key":    {AdminKey{Name: "a", Role: RoleRead}, "0123456789abcde", errAdminKeyShort},
	} {
		if err := s.CreateAdminKey(t.Context(), &test.key, test.value); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestTheFirstAdminKeyFollowsTheConfiguration(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		ctx := t.Context()
		ensure := func(key string) {
			t.Helper()
			if err := s.EnsureAdminKey(ctx, "admin", key, RoleAdmin); err != nil {
				t.Fatal(err)
			}
		}
		works := func(key string) bool {
			t.Helper()
			_, err := s.FindAdminKey(ctx, key)
			if err != nil && !errors.Is(err, fosite.ErrNotFound) {
				t.Fatal(err)
			}
			return err == nil
		}
		var wg sync.WaitGroup
		for range 4 { // replicas that start together
			wg.Go(func() { ensure(someKey + "1") })
		}
		wg.Wait()
		ensure(someKey + "1")
		if !works(someKey + "1") {
			t.Error("the configured key does not work")
		}
		ensure(someKey + "2")
		if works(someKey+"1") || !works(someKey+"2") {
			t.Error("another key in the configuration must replace the first")
		}
		if err := s.RevokeAdminKey(ctx, "admin"); err != nil {
			t.Fatal(err)
		}
		ensure(someKey + "2")
		if works(someKey + "2") {
			t.Error("a restart has brought a revoked key back")
		}
		ensure(someKey + "3")
		if !works(someKey + "3") {
			t.Error("a new key in the configuration does not work after the old one was revoked")
		}
		// A replica that still has an old key in its configuration must not bring it back.
		for _, old := range []string{"1", "2"} {
			if err := s.EnsureAdminKey(ctx, "admin", someKey+old, RoleAdmin); !errors.Is(err, ErrAdminKeyRetired) || works(someKey+old) {
				t.Errorf("key %s came back (%v)", old, err)
			}
		}
		if !works(someKey + "3") {
			t.Error("the attempt has ended the key in force")
		}
		wantChain(t, s, 6, 0) // created; created, replaced; revoked; created, replaced
	})
}
