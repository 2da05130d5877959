package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
)

const someKey = "mcp_ak_0123456789abcdefghij"

func TestWhatRolesInclude(t *testing.T) {
	for role, want := range map[audit.Role][]bool{
		audit.RoleRead: {true, false, false, false}, audit.RoleClients: {true, true, false, false}, audit.RolePeople: {true, false, true, false},
		audit.RoleAdmin: {true, true, true, true}, "": {false, false, false, false}, "root": {false, false, false, false},
	} {
		got := []bool{role.Allows(audit.RoleRead), role.Allows(audit.RoleClients), role.Allows(audit.RolePeople), role.Allows(audit.RoleAdmin)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", role, diff)
		}
		if role.Allows("") || role.Allows("root") {
			t.Errorf("%q includes a role that does not exist", role)
		}
	}
}

func TestAnAdminKeyWorksUntilItExpiresOrIsRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.store(t, storage.WithClock(clock.now))
		ctx := t.Context()
		k := &audit.AdminKey{Name: "ci", Role: audit.RoleClients, ExpiresAt: clock.now().Add(time.Hour)}
		if err := s.AdminKeys().Create(ctx, k, someKey); err != nil {
			t.Fatal(err)
		}
		find := func(step string, want error) {
			t.Helper()
			found, err := s.AdminKeys().Find(ctx, someKey)
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
			if _, err := s.AdminKeys().Find(ctx, wrong); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		clock.forward(time.Hour)
		find("expired", fosite.ErrNotFound)
		clock.forward(-time.Hour)
		if err := s.AdminKeys().Revoke(ctx, "ci"); err != nil {
			t.Fatal(err)
		}
		find("revoked", fosite.ErrNotFound)
		if err := s.AdminKeys().Revoke(ctx, "ci"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		if err := s.AdminKeys().Create(ctx, &audit.AdminKey{Name: "ci", Role: audit.RoleRead}, someKey+"2"); !errors.Is(err, audit.ErrAdminKeyExists) {
			t.Errorf("a name is used twice: %v", err)
		}
		keys, err := s.AdminKeys().List(ctx)
		if err != nil || len(keys) != 1 || keys[0].RevokedAt.IsZero() || keys[0].Hint != "ghij" {
			t.Errorf("%v %v", keys, err)
		}
		wantChain(t, s, 2, 0)
	})
}

func TestAdminKeysThatAreRefused(t *testing.T) {
	s := onSQLite.store(t)
	for name, test := range map[string]struct {
		key   audit.AdminKey
		value string
		want  error
	}{
		"no name":      {audit.AdminKey{Role: audit.RoleRead}, someKey, audit.ErrAdminKeyName},
		"strange name": {audit.AdminKey{Name: "a b", Role: audit.RoleRead}, someKey, audit.ErrAdminKeyName},
		"long name":    {audit.AdminKey{Name: strings.Repeat("x", 65), Role: audit.RoleRead}, someKey, audit.ErrAdminKeyName},
		"no role":      {audit.AdminKey{Name: "a"}, someKey, audit.ErrAdminKeyRole},
		"unknown role": {audit.AdminKey{Name: "a", Role: "root"}, someKey, audit.ErrAdminKeyRole},
		"short key":    {audit.AdminKey{Name: "a", Role: audit.RoleRead}, "0123456789abcde", audit.ErrAdminKeyShort},
	} {
		if err := s.AdminKeys().Create(t.Context(), &test.key, test.value); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// Another key in the configuration of one replica, and each start with it, leaves every other key alone.
func TestAnAdminKeyOfTheConfigurationIsAdded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		ctx := t.Context()
		ensure := func(key string, wantCreated bool) *audit.AdminKey {
			t.Helper()
			k, created, err := s.AdminKeys().Ensure(ctx, "admin", key, audit.RoleAdmin)
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
				_, err := s.AdminKeys().Find(ctx, someKey+fmt.Sprint(i+1))
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
				k, created, err := s.AdminKeys().Ensure(ctx, "admin", someKey+"2", audit.RoleAdmin)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				names[k.Name] = true
				if created {
					creations++
				}
			})
		}
		wg.Wait()
		if len(names) != 1 || names[first.Name] || creations != 1 {
			t.Errorf("the second key got the names %v in %d creations; want one of its own", names, creations)
		}
		works(true, true)
		ensure(someKey+"1", false) // a replica with the first key starts again
		works(true, true)

		if err := s.AdminKeys().Revoke(ctx, "admin"); err != nil {
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
	s := onSQLite.store(t)
	if err := s.AdminKeys().Create(t.Context(), &audit.AdminKey{Name: "auditor", Role: audit.RoleRead}, someKey); err != nil {
		t.Fatal(err)
	}
	k, created, err := s.AdminKeys().Ensure(t.Context(), "admin", someKey, audit.RoleAdmin)
	if err != nil || created || k.Name != "auditor" || k.Role != audit.RoleRead {
		t.Errorf("%+v, created %v (%v); want the key of the auditor, as it was", k, created, err)
	}
}

func TestAKeyForSingleClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s, ctx := e.store(t), t.Context()
		k := &audit.AdminKey{Name: "team", Role: audit.RoleClients, Clients: []string{"b", "https://a.example/c?d=e f"}}
		if err := s.AdminKeys().Create(ctx, k, someKey); err != nil {
			t.Fatal(err)
		}
		found, err := s.AdminKeys().Find(ctx, someKey)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(k, found); diff != "" {
			t.Errorf("the key (-want +got):\n%s", diff)
		}
		for _, damage := range []string{`UPDATE admin_keys SET clients = ''`, `UPDATE admin_keys SET clients = 'b', role = 'clients'`} {
			if err := s.db.Exec(damage).Error; err != nil {
				t.Fatal(err)
			}
			if found, err := s.AdminKeys().Find(ctx, someKey); err != nil || found.Role.Allows(audit.RoleRead) {
				t.Errorf("%s: %+v, error %v; want a key that opens nothing", damage, found, err)
			}
		}
		for name, wrong := range map[string]*audit.AdminKey{
			"an admin": {Role: audit.RoleAdmin, Clients: []string{"b"}}, "of people": {Role: audit.RolePeople, Clients: []string{"b"}},
			"twice": {Role: audit.RoleRead, Clients: []string{"b", "b"}}, "nobody": {Role: audit.RoleRead, Clients: []string{""}},
			"too many": {Role: audit.RoleRead, Clients: manyNames(audit.MaxAdminKeyClients + 1)},
		} {
			wrong.Name = "wrong"
			if err := s.AdminKeys().Create(ctx, wrong, someKey+"x"); err == nil {
				t.Errorf("%s: a key for these clients is stored", name)
			}
		}
	})
}

func manyNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(i))
	}
	return names
}

// Two who revoke the last two keys at the same moment must not lock each other out.
func TestTheLastAdminKeyStays(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s, ctx := e.store(t, storage.WithClock(clock.now)), t.Context()
		for name, k := range map[string]*audit.AdminKey{
			"a": {Role: audit.RoleAdmin}, "b": {Role: audit.RoleAdmin}, "reader": {Role: audit.RoleRead}, "old": {Role: audit.RoleAdmin, ExpiresAt: clock.now().Add(time.Hour)},
		} {
			k.Name = name
			if err := s.AdminKeys().Create(ctx, k, someKey+name); err != nil {
				t.Fatal(err)
			}
		}
		clock.forward(time.Hour)
		var group sync.WaitGroup
		results := make([]error, 2)
		for i, name := range []string{"a", "b"} {
			group.Go(func() { results[i] = s.AdminKeys().RevokeButLast(ctx, name) })
		}
		group.Wait()
		if done, last := errors.Is(errors.Join(results...), audit.ErrLastAdminKey), results[0] == nil || results[1] == nil; !done || !last {
			t.Errorf("one is revoked and the other is the last one: %v", results)
		}
		if err := s.AdminKeys().RevokeButLast(ctx, "reader"); err != nil {
			t.Errorf("a key of another role: %v", err)
		}
		for _, name := range []string{"reader", "nobody", "", "\x00"} {
			if err := s.AdminKeys().RevokeButLast(ctx, name); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}
