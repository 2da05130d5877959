package storage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
)

// person makes a local account.
func (s *Store) person(t *testing.T, name string, groups ...string) *User {
	t.Helper()
	user := &User{Username: name, PasswordHash: []byte("hash of " + name), Groups: groups}
	if err := s.CreateUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	return user
}

// granted issues tokens to a client in the name of a person who consented.
func (s *Store) granted(t *testing.T, name string, user *User, clientID string) {
	t.Helper()
	if err := s.RememberConsent(t.Context(), user.ID, user.Username, clientID, "The "+clientID, []string{"r"}, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	request := s.authenticated(t, clientID)
	request.Session = &fosite.DefaultSession{Subject: user.ID, Username: user.Username}
	s.issue(t, name, request)
	if err := s.CreateLoginSession(t.Context(), "browser of "+user.Username, user.ID, user.Username, "local", []byte("{}"), s.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func wantSession(t *testing.T, s *Store, token string, want bool) {
	t.Helper()
	_, _, err := s.FindLoginSession(t.Context(), token)
	if want && err != nil || !want && !errors.Is(err, fosite.ErrNotFound) {
		t.Errorf("session %q: error %v, want it alive: %v", token, err, want)
	}
}

func wantConsents(t *testing.T, s *Store, filter ConsentFilter, clientIDs ...string) {
	t.Helper()
	consents, err := s.ListConsents(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, consent := range consents {
		got = append(got, consent.ClientID)
	}
	if !slices.Equal(got, clientIDs) {
		t.Errorf("consents %+v: clients %q, want %q", filter, got, clientIDs)
	}
}

func TestAccounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.store(t, WithClock(clock.now))
		alice := s.person(t, "alice", "staff", "docs", "staff")
		if err := s.CreateUser(t.Context(), &User{Username: "alice", PasswordHash: []byte("x")}); !errors.Is(err, ErrUserExists) {
			t.Errorf("a second alice: error %v, want ErrUserExists", err)
		}
		found, err := s.FindUser(t.Context(), "ALICE")
		want := &User{ID: alice.ID, Username: "alice", PasswordHash: []byte("hash of alice"), Groups: []string{"docs", "staff"}, CreatedAt: clock.at, UpdatedAt: clock.at}
		if diff := cmp.Diff(want, found); diff != "" || err != nil {
			t.Errorf("error %v, account (-want +got):\n%s", err, diff)
		}
		s.person(t, "bob")
		users, err := s.ListUsers(t.Context())
		if err != nil || len(users) != 2 || users[0].Username != "alice" || len(users[0].Groups) != 2 || users[1].Username != "bob" || users[1].Groups != nil {
			t.Errorf("error %v, accounts %+v", err, users)
		}
		subject, hash, groups, err := s.LoginAccount(t.Context(), "alice")
		if err != nil || subject != alice.ID || string(hash) != "hash of alice" || !slices.Equal(groups, []string{"docs", "staff"}) {
			t.Errorf("login account %q %q %q, error %v", subject, hash, groups, err)
		}
		if _, _, _, err := s.LoginAccount(t.Context(), "nobody"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("an account that is not there: error %v", err)
		}
		if err := s.SetUserGroups(t.Context(), "alice", []string{"new"}); err != nil {
			t.Fatal(err)
		}
		if found, err := s.FindUser(t.Context(), "alice"); err != nil || !slices.Equal(found.Groups, []string{"new"}) {
			t.Errorf("groups %q, error %v", found.Groups, err)
		}
	})
}

func TestNamesThatCouldBeMistakenAreRefused(t *testing.T) {
	for name, good := range map[string]bool{
		"alice": true, "a.b_c@d+e-1": true, "0": true, "": false, "Alice": false, "al ice": false, "аlice": false, ".alice": false, "a|b": false, "alice\n": false, strings.Repeat("a", 129): false,
	} {
		if err := CheckUsername(name); (err == nil) != good {
			t.Errorf("user name %q: error %v", name, err)
		}
	}
	for group, good := range map[string]bool{"staff": true, "Über uns": true, "": false, "a,b": false, " a": false, "a\x00": false, strings.Repeat("a", 129): false} {
		if err := CheckGroup(group); (err == nil) != good {
			t.Errorf("group %q: error %v", group, err)
		}
	}
}

func TestWhatEndsAPersonsAccess(t *testing.T) {
	tests := []struct {
		name             string
		change           func(ctx context.Context, s *Store) error
		session, tokens  bool
		login, remembers bool
	}{
		{"disable", func(ctx context.Context, s *Store) error { return s.DisableUser(ctx, "alice") }, false, false, false, true},
		{"delete", func(ctx context.Context, s *Store) error { return s.DeleteUser(ctx, "alice") }, false, false, false, false},
		{"a new password", func(ctx context.Context, s *Store) error { return s.SetUserPassword(ctx, "alice", []byte("new")) }, false, true, true, true},
		{"other groups", func(ctx context.Context, s *Store) error { return s.SetUserGroups(ctx, "alice", nil) }, true, true, true, true},
	}
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s := e.storeWithClients(t)
				s.granted(t, "hers", s.person(t, "alice", "staff"), "person")
				s.granted(t, "his", s.person(t, "bob"), "person")
				if err := test.change(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s, "hers", test.tokens)
				wantSession(t, s, "browser of alice", test.session)
				if _, _, _, err := s.LoginAccount(t.Context(), "alice"); (err == nil) != test.login {
					t.Errorf("login: error %v, want it possible: %v", err, test.login)
				}
				consents, err := s.ListConsents(t.Context(), ConsentFilter{Username: "alice"})
				if err != nil || (len(consents) > 0) != test.remembers {
					t.Errorf("consents %v, error %v", consents, err)
				}
				wantAlive(t, s, "his", true)
				wantSession(t, s, "browser of bob", true)
			})
		}
	})
}

func TestADisabledAccountComesBackWithoutItsTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		s.granted(t, "hers", s.person(t, "alice"), "person")
		for _, err := range []error{s.DisableUser(t.Context(), "alice"), s.DisableUser(t.Context(), "alice"), s.EnableUser(t.Context(), "alice")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, _, _, err := s.LoginAccount(t.Context(), "alice"); err != nil {
			t.Errorf("login: %v", err)
		}
		wantAlive(t, s, "hers", false)
	})
}

func TestANewAccountOfAnOldNameIsSomebodyElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		first := s.person(t, "alice", "staff")
		if err := s.DeleteUser(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if second := s.person(t, "alice"); second.ID == first.ID {
			t.Errorf("both have the subject %s", second.ID)
		}
	})
}

func TestChangesOfAccountsThatAreNotThereAreNotFound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		for name, err := range map[string]error{
			"disable": s.DisableUser(t.Context(), "nobody"), "enable": s.EnableUser(t.Context(), "nobody"), "delete": s.DeleteUser(t.Context(), "nobody"),
			"password": s.SetUserPassword(t.Context(), "nobody", []byte("x")), "groups": s.SetUserGroups(t.Context(), "nobody", nil),
		} {
			if !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: error %v, want not found", name, err)
			}
		}
		for name, err := range map[string]error{
			"no password": s.CreateUser(t.Context(), &User{Username: "alice"}), "empty hash": s.SetUserPassword(t.Context(), "alice", nil),
			"bad group": s.CreateUser(t.Context(), &User{Username: "alice", PasswordHash: []byte("x"), Groups: []string{"a,b"}}),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

func TestLoginSessionsEnd(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.store(t, WithClock(clock.now))
		for _, token := range []string{"short", "long"} {
			life := map[string]time.Duration{"short": time.Minute, "long": time.Hour}[token]
			if err := s.CreateLoginSession(t.Context(), token, "subject", "alice", "oidc", []byte(`{"x":1}`), clock.at.Add(life)); err != nil {
				t.Fatal(err)
			}
		}
		began := clock.at
		clock.forward(time.Minute)
		wantSession(t, s, "short", false)
		data, seen, err := s.FindLoginSession(t.Context(), "long")
		if err != nil || string(data) != `{"x":1}` || !seen.Equal(began) {
			t.Errorf("data %s, seen %v, error %v", data, seen, err)
		}
		if err := s.TouchLoginSession(t.Context(), "long"); err != nil {
			t.Fatal(err)
		}
		if _, seen, err := s.FindLoginSession(t.Context(), "long"); err != nil || !seen.Equal(clock.at) {
			t.Errorf("seen %v, error %v; want now", seen, err)
		}
		if err := s.CreateLoginSession(t.Context(), "next", "subject", "alice", "oidc", nil, clock.at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := s.db.Read(t.Context()).QueryRow(`SELECT COUNT(*) FROM {login_sessions}`).Scan(&rows); err != nil || rows != 2 {
			t.Errorf("%d rows, error %v; want the expired one gone", rows, err)
		}
		for range 2 {
			if err := s.DeleteLoginSession(t.Context(), "long"); err != nil {
				t.Fatal(err)
			}
		}
		wantSession(t, s, "long", false)
		wantSession(t, s, "", false)
		for name, err := range map[string]error{
			"no token":   s.CreateLoginSession(t.Context(), "", "subject", "alice", "oidc", nil, clock.at.Add(time.Hour)),
			"no subject": s.CreateLoginSession(t.Context(), "token", "", "alice", "oidc", nil, clock.at.Add(time.Hour)),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

func TestConsentsAddUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		began := clock.at
		remember := func(clientID, name string, resources, scopes []string) {
			t.Helper()
			if err := s.RememberConsent(t.Context(), "ada", "Ada", clientID, name, resources, scopes); err != nil {
				t.Fatal(err)
			}
			clock.forward(time.Minute)
		}
		remember("person", "Old name", []string{"r1"}, []string{"a", "b"})
		remember("person", "New name", []string{"r1", "r2"}, []string{"a", "c"})
		remember("machine", "", nil, nil)
		allowed, err := s.FindConsent(t.Context(), "ada", "person")
		if diff := cmp.Diff(map[string][]string{"r1": {"a", "b", "c"}, "r2": {"a", "c"}}, allowed); diff != "" || err != nil {
			t.Errorf("error %v, consent (-want +got):\n%s", err, diff)
		}
		if allowed, err := s.FindConsent(t.Context(), "ada", "machine"); err != nil || !slices.Equal(allowed[""], []string{""}) {
			t.Errorf("nothing at nowhere: %v, error %v", allowed, err)
		}
		consents, err := s.ListConsents(t.Context(), ConsentFilter{Subject: "ada"})
		want := []Consent{
			{Subject: "ada", Username: "Ada", ClientID: "machine", CreatedAt: began.Add(2 * time.Minute)},
			{Subject: "ada", Username: "Ada", ClientID: "person", ClientName: "New name", Scopes: []string{"b", "a", "c"}, Resources: []string{"r1", "r2"}, CreatedAt: began},
		}
		if diff := cmp.Diff(want, consents); diff != "" || err != nil {
			t.Errorf("error %v, consents (-want +got):\n%s", err, diff)
		}
	})
}

func TestWithdrawingEndsTheGrantsOfOnePersonAtOneClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		alice, bob := s.person(t, "alice"), s.person(t, "bob")
		s.granted(t, "alice at person", alice, "person")
		s.granted(t, "bob at person", bob, "person")
		if err := s.RememberConsent(t.Context(), alice.ID, "alice", "machine", "M", nil, []string{"a"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.WithdrawConsent(t.Context(), alice.ID, "person"); err != nil {
				t.Fatal(err)
			}
		}
		wantAlive(t, s, "alice at person", false)
		wantAlive(t, s, "bob at person", true)
		wantConsents(t, s, ConsentFilter{Subject: alice.ID}, "machine")
		wantConsents(t, s, ConsentFilter{ClientID: "person", Username: "bob"}, "person")

		n, err := s.WithdrawConsents(t.Context(), ConsentFilter{ClientID: "person"})
		if err != nil || n != 1 {
			t.Errorf("withdrew %d, error %v", n, err)
		}
		wantAlive(t, s, "bob at person", false)
		wantSession(t, s, "browser of bob", true)
		for name, err := range map[string]error{
			"no subject": s.WithdrawConsent(t.Context(), "", "person"), "no client": s.WithdrawConsent(t.Context(), alice.ID, ""),
			"a consent of nobody":  s.RememberConsent(t.Context(), "", "", "person", "", nil, nil),
			"the list of nobody":   s.EachConsent(t.Context(), "", nil),
			"a consent to nothing": s.RememberConsent(t.Context(), "ada", "", "", "", nil, nil),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if _, err := s.WithdrawConsents(t.Context(), ConsentFilter{}); err == nil {
			t.Error("every consent was withdrawn at once")
		}
	})
}

func TestAccessWithoutARememberedConsentIsListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		request := s.authenticated(t, "person")
		request.Session = &fosite.DefaultSession{Subject: "ada"}
		s.issue(t, "grant", request)
		if _, err := s.db.Run(t.Context(), `UPDATE {access_tokens} SET last_used_at = ?`, millis(clock.at)); err != nil {
			t.Fatal(err)
		}
		var seen []string
		err := s.EachConsent(t.Context(), "ada", func(clientID, _ string, _, _ []string, since, lastUsed time.Time) {
			seen = append(seen, clientID)
			if !since.Equal(clock.at) || !lastUsed.Equal(clock.at) {
				t.Errorf("since %v, last used %v; want %v", since, lastUsed, clock.at)
			}
		})
		if err != nil || !slices.Equal(seen, []string{"person"}) {
			t.Errorf("clients %q, error %v", seen, err)
		}
		if err := s.WithdrawConsent(t.Context(), "ada", "person"); err != nil {
			t.Fatal(err)
		}
		wantAlive(t, s, "grant", false)
		wantConsents(t, s, ConsentFilter{Subject: "ada"})
	})
}

func TestADeletedClientIsNotListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		s.granted(t, "hers", s.person(t, "alice"), "person")
		if err := s.DeleteClient(t.Context(), "person"); err != nil {
			t.Fatal(err)
		}
		wantConsents(t, s, ConsentFilter{})
	})
}

func TestLoginChangesAreAudited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		listener := new(told)
		s := e.storeWithClients(t, WithAuditListener(listener.listen))
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Actor: "shell"})
		alice := &User{Username: "alice", PasswordHash: []byte("x")}
		for _, err := range []error{
			s.CreateUser(ctx, alice),
			s.RememberConsent(t.Context(), alice.ID, "alice", "person", "P", []string{"r"}, []string{"a"}),
			s.WithdrawConsent(t.Context(), alice.ID, "person"),
			s.RememberConsent(t.Context(), alice.ID, "alice", "person", "P", []string{"r"}, []string{"a"}),
			s.WithdrawConsent(ctx, alice.ID, "person"),
			s.DeleteUser(ctx, "alice"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		events, _, err := s.Audit().List(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, event := range events {
			got = append(got, event.Actor+" "+event.Action+" "+event.ClientID)
		}
		want := []string{
			"shell user.created ", "user:alice consent.granted person", "user:alice consent.withdrawn person", "user:alice consent.granted person",
			"shell consent.withdrawn person", "shell user.deleted ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if len(listener.actions) != len(want) {
			t.Errorf("the listener was told of %v", listener.actions)
		}
	})
}

func TestAnOutageIsNoAnswerAboutPeople(t *testing.T) {
	s := testEngine{"sqlite", newSQLiteFile}.store(t)
	if err := poolOf(t, s).Close(); err != nil {
		t.Fatal(err)
	}
	_, _, sessionErr := s.FindLoginSession(t.Context(), "token")
	_, _, _, accountErr := s.LoginAccount(t.Context(), "alice")
	_, consentErr := s.FindConsent(t.Context(), "ada", "person")
	for name, err := range map[string]error{
		"session": sessionErr, "account": accountErr, "consent": consentErr, "withdrawal": s.WithdrawConsent(t.Context(), "ada", "person"),
		"list": s.EachConsent(t.Context(), "ada", nil), "logout": s.DeleteLoginSession(t.Context(), "token"), "touch": s.TouchLoginSession(t.Context(), "token"),
	} {
		if err == nil || errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("%s: error %v, want an outage", name, err)
		}
	}
}

// Whoever has just shown that they are logged in must not be granted anything once the account is gone.
func TestNothingIsGrantedInTheNameOfAnAccountThatIsGone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, end := range map[string]func(s *Store) error{
			"disabled": func(s *Store) error { return s.DisableUser(t.Context(), "alice") },
			"deleted":  func(s *Store) error { return s.DeleteUser(t.Context(), "alice") },
		} {
			t.Run(name, func(t *testing.T) {
				s := e.storeWithClients(t)
				alice := s.person(t, "alice")
				request := s.authenticated(t, "person")
				request.Session = &fosite.DefaultSession{Subject: alice.ID}
				if err := s.CreateAuthorizeCodeSession(t.Context(), "before", request); err != nil {
					t.Fatal(err)
				}
				if err := end(s); err != nil {
					t.Fatal(err)
				}
				if err := s.CreateAuthorizeCodeSession(t.Context(), "after", request); !errors.Is(err, fosite.ErrAccessDenied) {
					t.Errorf("error %v, want access denied", err)
				}
			})
		}
	})
}

func TestADeletedAccountLeavesNoTrace(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		alice := s.person(t, "alice", "staff")
		if err := s.DeleteUser(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"alice", "deleted " + alice.ID, "deleted " + strings.ToUpper(alice.ID)} {
			if _, err := s.FindUser(t.Context(), name); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("account %q: %v, want not found", name, err)
			}
			for what, err := range map[string]error{"enable": s.EnableUser(t.Context(), name), "delete": s.DeleteUser(t.Context(), name)} {
				if !errors.Is(err, fosite.ErrNotFound) {
					t.Errorf("%s %q: %v, want not found", what, name, err)
				}
			}
		}
		if users, err := s.ListUsers(t.Context()); err != nil || len(users) != 0 {
			t.Errorf("accounts %v, %v; want none", users, err)
		}
	})
}

// Comparing a password takes long enough for it to be changed meanwhile, and that ends all sessions.
func TestASessionNeedsThePasswordOfThatMoment(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		alice := s.person(t, "alice")
		login := func(token string) error {
			return s.CreatePasswordSession(t.Context(), token, alice.ID, alice.Username, "local", alice.PasswordHash, nil, s.now().Add(time.Hour))
		}
		if err := login("first"); err != nil {
			t.Fatal(err)
		}
		wantSession(t, s, "first", true)
		for _, c := range []struct {
			name   string
			change func() error
		}{
			{"disabled", func() error { return s.DisableUser(t.Context(), "alice") }},
			{"enabled with a new password", func() error {
				return errors.Join(s.EnableUser(t.Context(), "alice"), s.SetUserPassword(t.Context(), "alice", []byte("new")))
			}},
			{"deleted", func() error { return s.DeleteUser(t.Context(), "alice") }},
		} {
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
			if err := login(c.name); !errors.Is(err, fosite.ErrAccessDenied) {
				t.Errorf("%s: error %v, want access denied", c.name, err)
			}
			wantSession(t, s, c.name, false)
		}
	})
}

func TestANameThatIsNoTextIsNobodys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		for _, name := range []string{"a\x00", "\xff"} {
			if _, _, _, err := s.LoginAccount(t.Context(), name); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%q: %v, want not found", name, err)
			}
		}
	})
}
