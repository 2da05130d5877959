package storage

import (
	"errors"
	"fmt"
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

// Another key in the configuration of one replica, and each start with it, leaves every other key alone.
func TestAnAdminKeyOfTheConfigurationIsAdded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		ctx := t.Context()
		ensure := func(key string, wantCreated bool) *AdminKey {
			t.Helper()
			k, created, err := s.EnsureAdminKey(ctx, "admin", key, RoleAdmin)
			if err != nil {
				t.Fatal(err)
			}
			if created != wantCreated {
				t.Errorf("key %s: created is %v", key, created)
			}
			return k
		}
		works := func(want ...bool) {
			t.Helper()
			var got []bool
			for i := range want {
				_, err := s.FindAdminKey(ctx, someKey+fmt.Sprint(i+1))
				if err != nil && !errors.Is(err, fosite.ErrNotFound) {
					t.Fatal(err)
				}
				got = append(got, err == nil)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("which keys work (-want +got):\n%s", diff)
			}
		}
		first := ensure(someKey+"1", true)
		var wg sync.WaitGroup
		var mu sync.Mutex
		names := map[string]bool{}
		creations := 0
		for range 4 { // replicas that start together with the new key
			wg.Go(func() {
				k, created, err := s.EnsureAdminKey(ctx, "admin", someKey+"2", RoleAdmin)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				names[k.Name] = true
				creations += bit(created)
			})
		}
		wg.Wait()
		if len(names) != 1 || names[first.Name] || creations != 1 {
			t.Errorf("the second key got the names %v in %d creations; want one of its own", names, creations)
		}
		works(true, true)
		ensure(someKey+"1", false) // a replica with the first key starts again
		works(true, true)

		if err := s.RevokeAdminKey(ctx, "admin"); err != nil {
			t.Fatal(err)
		}
		if k := ensure(someKey+"1", false); k.RevokedAt.IsZero() {
			t.Error("it is not said that the key was revoked")
		}
		works(false, true)
		ensure(someKey+"3", true)
		works(false, true, true)
		wantChain(t, s, 4, 0) // three created, one revoked
	})
}

func TestAKeyKeepsTheRoleItHas(t *testing.T) {
	s := testEngine{"sqlite", newSQLiteFile}.store(t)
	if err := s.CreateAdminKey(t.Context(), &AdminKey{Name: "auditor", Role: RoleRead}, someKey); err != nil {
		t.Fatal(err)
	}
	k, created, err := s.EnsureAdminKey(t.Context(), "admin", someKey, RoleAdmin)
	if err != nil || created || k.Name != "auditor" || k.Role != RoleRead {
		t.Errorf("%+v, created %v (%v); want the key of the auditor, as it was", k, created, err)
	}
}
