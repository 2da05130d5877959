package people_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/internal/enginetest"
	"fosite-mcp/storage/internal/model"
	"fosite-mcp/storage/people"
)

// testStore is a store on a new database, with a clock that stands still.
type testStore struct {
	*storage.Store
	db  *gorm.DB
	now time.Time
}

func newTestStore(t *testing.T, dialector gorm.Dialector) *testStore {
	t.Helper()
	s := &testStore{db: enginetest.Open(t, dialector), now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	s.Store = storage.New(s.db, storage.WithClock(func() time.Time { return s.now }))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func onEachEngine(t *testing.T, test func(t *testing.T, s *testStore)) {
	enginetest.OnEach(t, func(t *testing.T, _ string, dialector func(t *testing.T) func() gorm.Dialector) {
		test(t, newTestStore(t, dialector(t)()))
	})
}

// person makes a local account.
func (s *testStore) person(t *testing.T, name string, groups ...string) *people.User {
	t.Helper()
	user := &people.User{Username: name, PasswordHash: []byte("hash of " + name), Groups: groups}
	if err := s.Users().Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	return user
}

func (s *testStore) wantSession(t *testing.T, token string, want bool) {
	t.Helper()
	_, _, err := s.LoginSessions().Find(t.Context(), token)
	if want && err != nil || !want && !errors.Is(err, fosite.ErrNotFound) {
		t.Errorf("session %q: error %v, want it alive: %v", token, err, want)
	}
}

func TestAccounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		alice := s.person(t, "alice", "staff", "docs", "staff")
		if err := s.Users().Create(t.Context(), &people.User{Username: "alice", PasswordHash: []byte("x")}); !errors.Is(err, people.ErrUserExists) {
			t.Errorf("a second alice: error %v, want ErrUserExists", err)
		}
		if !client.IsAccountID(alice.ID) {
			t.Errorf("a client could be registered with the id of an account, %s", alice.ID)
		}
		found, err := s.Users().Find(t.Context(), "ALICE")
		want := &people.User{ID: alice.ID, Username: "alice", PasswordHash: []byte("hash of alice"), Groups: []string{"docs", "staff"}, CreatedAt: s.now, UpdatedAt: s.now}
		if diff := cmp.Diff(want, found); diff != "" || err != nil {
			t.Errorf("error %v, account (-want +got):\n%s", err, diff)
		}
		s.person(t, "bob")
		users, err := s.Users().List(t.Context())
		if err != nil || len(users) != 2 || users[0].Username != "alice" || len(users[0].Groups) != 2 || users[1].Username != "bob" || users[1].Groups != nil {
			t.Errorf("error %v, accounts %+v", err, users)
		}
		subject, hash, groups, err := s.Users().LoginAccount(t.Context(), "alice")
		if err != nil || subject != alice.ID || string(hash) != "hash of alice" || !slices.Equal(groups, []string{"docs", "staff"}) {
			t.Errorf("login account %q %q %q, error %v", subject, hash, groups, err)
		}
		if _, _, _, err := s.Users().LoginAccount(t.Context(), "nobody"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("an account that is not there: error %v", err)
		}
		if err := s.Users().SetGroups(t.Context(), "alice", []string{"new"}); err != nil {
			t.Fatal(err)
		}
		if found, err := s.Users().Find(t.Context(), "alice"); err != nil || !slices.Equal(found.Groups, []string{"new"}) {
			t.Errorf("groups %q, error %v", found.Groups, err)
		}
	})
}

func TestNamesThatCouldBeMistakenAreRefused(t *testing.T) {
	for name, good := range map[string]bool{
		"alice": true, "a.b_c@d+e-1": true, "0": true, "": false, "Alice": false, "al ice": false, "аlice": false, ".alice": false, "a|b": false, "alice\n": false, strings.Repeat("a", 129): false,
	} {
		if err := people.CheckUsername(name); (err == nil) != good {
			t.Errorf("user name %q: error %v", name, err)
		}
	}
	for group, good := range map[string]bool{"staff": true, "Über uns": true, "": false, "a,b": false, " a": false, "a\x00": false, strings.Repeat("a", 129): false} {
		if err := people.CheckGroup(group); (err == nil) != good {
			t.Errorf("group %q: error %v", group, err)
		}
	}
}

func TestANewAccountOfAnOldNameIsSomebodyElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		first := s.person(t, "alice", "staff")
		if err := s.Users().Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if second := s.person(t, "alice"); second.ID == first.ID {
			t.Errorf("both have the subject %s", second.ID)
		}
	})
}

func TestChangesOfAccountsThatAreNotThereAreNotFound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		for name, err := range map[string]error{
			"disable": s.Users().Disable(t.Context(), "nobody"), "enable": s.Users().Enable(t.Context(), "nobody"), "delete": s.Users().Delete(t.Context(), "nobody"),
			"password": s.Users().SetPassword(t.Context(), "nobody", []byte("x")), "groups": s.Users().SetGroups(t.Context(), "nobody", nil),
		} {
			if !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: error %v, want not found", name, err)
			}
		}
		for name, err := range map[string]error{
			"no password": s.Users().Create(t.Context(), &people.User{Username: "alice"}), "empty hash": s.Users().SetPassword(t.Context(), "alice", nil),
			"bad group": s.Users().Create(t.Context(), &people.User{Username: "alice", PasswordHash: []byte("x"), Groups: []string{"a,b"}}),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

func TestLoginSessionsEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		for _, token := range []string{"short", "long"} {
			life := map[string]time.Duration{"short": time.Minute, "long": time.Hour}[token]
			if err := s.LoginSessions().Create(t.Context(), token, "subject", "alice", "oidc", []byte(`{"x":1}`), s.now.Add(life)); err != nil {
				t.Fatal(err)
			}
		}
		began := s.now
		s.now = s.now.Add(time.Minute)
		s.wantSession(t, "short", false)
		data, seen, err := s.LoginSessions().Find(t.Context(), "long")
		if err != nil || string(data) != `{"x":1}` || !seen.Equal(began) {
			t.Errorf("data %s, seen %v, error %v", data, seen, err)
		}
		if err := s.LoginSessions().Touch(t.Context(), "long"); err != nil {
			t.Fatal(err)
		}
		if _, seen, err := s.LoginSessions().Find(t.Context(), "long"); err != nil || !seen.Equal(s.now) {
			t.Errorf("seen %v, error %v; want now", seen, err)
		}
		if err := s.LoginSessions().Create(t.Context(), "next", "subject", "alice", "oidc", nil, s.now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var rows int64
		if err := s.db.Model(&model.LoginSession{}).Count(&rows).Error; err != nil || rows != 2 {
			t.Errorf("%d rows, error %v; want the expired one gone", rows, err)
		}
		for range 2 {
			if err := s.LoginSessions().Delete(t.Context(), "long"); err != nil {
				t.Fatal(err)
			}
		}
		s.wantSession(t, "long", false)
		s.wantSession(t, "", false)
		for name, err := range map[string]error{
			"no token":   s.LoginSessions().Create(t.Context(), "", "subject", "alice", "oidc", nil, s.now.Add(time.Hour)),
			"no subject": s.LoginSessions().Create(t.Context(), "token", "", "alice", "oidc", nil, s.now.Add(time.Hour)),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

func TestConsentsAddUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		began := s.now
		remember := func(clientID, name string, resources, scopes []string) {
			t.Helper()
			if err := s.Consents().Remember(t.Context(), "ada", "Ada", clientID, name, resources, scopes); err != nil {
				t.Fatal(err)
			}
			s.now = s.now.Add(time.Minute)
		}
		remember("person", "Old name", []string{"r1"}, []string{"a", "b"})
		remember("person", "New name", []string{"r1", "r2"}, []string{"a", "c"})
		remember("machine", "", nil, nil)
		allowed, err := s.Consents().Find(t.Context(), "ada", "person")
		if diff := cmp.Diff(map[string][]string{"r1": {"a", "b", "c"}, "r2": {"a", "c"}}, allowed); diff != "" || err != nil {
			t.Errorf("error %v, consent (-want +got):\n%s", err, diff)
		}
		if allowed, err := s.Consents().Find(t.Context(), "ada", "machine"); err != nil || !slices.Equal(allowed[""], []string{""}) {
			t.Errorf("nothing at nowhere: %v, error %v", allowed, err)
		}
		consents, err := s.Consents().List(t.Context(), people.ConsentFilter{Subject: "ada"})
		want := []people.Consent{
			{Subject: "ada", Username: "Ada", ClientID: "machine", CreatedAt: began.Add(2 * time.Minute)},
			{Subject: "ada", Username: "Ada", ClientID: "person", ClientName: "New name", Scopes: []string{"b", "a", "c"}, Resources: []string{"r1", "r2"}, CreatedAt: began},
		}
		if diff := cmp.Diff(want, consents); diff != "" || err != nil {
			t.Errorf("error %v, consents (-want +got):\n%s", err, diff)
		}
	})
}

func TestAnOutageIsNoAnswerAboutPeople(t *testing.T) {
	s := newTestStore(t, enginetest.SQLite(t)())
	pool, err := s.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, sessionErr := s.LoginSessions().Find(t.Context(), "token")
	_, _, _, accountErr := s.Users().LoginAccount(t.Context(), "alice")
	_, consentErr := s.Consents().Find(t.Context(), "ada", "person")
	for name, err := range map[string]error{
		"session": sessionErr, "account": accountErr, "consent": consentErr, "withdrawal": s.Consents().Withdraw(t.Context(), "ada", "person"),
		"list": s.Consents().Each(t.Context(), "ada", nil), "logout": s.LoginSessions().Delete(t.Context(), "token"), "touch": s.LoginSessions().Touch(t.Context(), "token"),
	} {
		if err == nil || errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("%s: error %v, want an outage", name, err)
		}
	}
}

func TestADeletedAccountLeavesNoTrace(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		alice := s.person(t, "alice", "staff")
		if err := s.Users().Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"alice", "deleted " + alice.ID, "deleted " + strings.ToUpper(alice.ID)} {
			if _, err := s.Users().Find(t.Context(), name); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("account %q: %v, want not found", name, err)
			}
			for what, err := range map[string]error{"enable": s.Users().Enable(t.Context(), name), "delete": s.Users().Delete(t.Context(), name)} {
				if !errors.Is(err, fosite.ErrNotFound) {
					t.Errorf("%s %q: %v, want not found", what, name, err)
				}
			}
		}
		if users, err := s.Users().List(t.Context()); err != nil || len(users) != 0 {
			t.Errorf("accounts %v, %v; want none", users, err)
		}
	})
}

// Comparing a password takes long enough for it to be changed meanwhile, and that ends all sessions.
func TestASessionNeedsThePasswordOfThatMoment(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		alice := s.person(t, "alice")
		login := func(token string) error {
			return s.LoginSessions().CreateForPassword(t.Context(), token, alice.ID, alice.Username, "local", alice.PasswordHash, nil, s.now.Add(time.Hour))
		}
		if err := login("first"); err != nil {
			t.Fatal(err)
		}
		s.wantSession(t, "first", true)
		for _, c := range []struct {
			name   string
			change func() error
		}{
			{"disabled", func() error { return s.Users().Disable(t.Context(), "alice") }},
			{"enabled with a new password", func() error {
				return errors.Join(s.Users().Enable(t.Context(), "alice"), s.Users().SetPassword(t.Context(), "alice", []byte("new")))
			}},
			{"deleted", func() error { return s.Users().Delete(t.Context(), "alice") }},
		} {
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
			if err := login(c.name); !errors.Is(err, fosite.ErrAccessDenied) {
				t.Errorf("%s: error %v, want access denied", c.name, err)
			}
			s.wantSession(t, c.name, false)
		}
	})
}

func TestANameThatIsNoTextIsNobodys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *testStore) {
		for _, name := range []string{"a\x00", "\xff"} {
			if _, _, _, err := s.Users().LoginAccount(t.Context(), name); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%q: %v, want not found", name, err)
			}
		}
	})
}
