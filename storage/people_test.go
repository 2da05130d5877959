package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/people"

	"fosite-mcp/storage/internal/model"
)

// person makes a local account.
func (s *Store) person(t *testing.T, name string, groups ...string) *people.User {
	t.Helper()
	user := &people.User{Username: name, PasswordHash: []byte("hash of " + name), Groups: groups}
	if err := s.Users().Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	return user
}

// granted issues tokens to a client in the name of a person who consented.
func (s *Store) granted(t *testing.T, name string, user *people.User, clientID string) {
	t.Helper()
	if err := s.Consents().Remember(t.Context(), user.ID, user.Username, clientID, "The "+clientID, []string{"r"}, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	request := s.authenticated(t, clientID)
	request.Session = &fosite.DefaultSession{Subject: user.ID, Username: user.Username}
	s.issue(t, name, request)
	if err := s.LoginSessions().Create(t.Context(), "browser of "+user.Username, user.ID, user.Username, "local", []byte("{}"), s.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func wantSession(t *testing.T, s *Store, token string, want bool) {
	t.Helper()
	_, _, err := s.LoginSessions().Find(t.Context(), token)
	if want && err != nil || !want && !errors.Is(err, fosite.ErrNotFound) {
		t.Errorf("session %q: error %v, want it alive: %v", token, err, want)
	}
}

func wantConsents(t *testing.T, s *Store, filter people.ConsentFilter, clientIDs ...string) {
	t.Helper()
	consents, err := s.Consents().List(t.Context(), filter)
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

func TestWhatEndsAPersonsAccess(t *testing.T) {
	tests := []struct {
		name             string
		change           func(ctx context.Context, s *Store) error
		session, tokens  bool
		login, remembers bool
	}{
		{"disable", func(ctx context.Context, s *Store) error { return s.Users().Disable(ctx, "alice") }, false, false, false, true},
		{"delete", func(ctx context.Context, s *Store) error { return s.Users().Delete(ctx, "alice") }, false, false, false, false},
		{"a new password", func(ctx context.Context, s *Store) error { return s.Users().SetPassword(ctx, "alice", []byte("new")) }, false, true, true, true},
		{"other groups", func(ctx context.Context, s *Store) error { return s.Users().SetGroups(ctx, "alice", nil) }, true, true, true, true},
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
				if _, _, _, err := s.Users().LoginAccount(t.Context(), "alice"); (err == nil) != test.login {
					t.Errorf("login: error %v, want it possible: %v", err, test.login)
				}
				consents, err := s.Consents().List(t.Context(), people.ConsentFilter{Username: "alice"})
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
		for _, err := range []error{s.Users().Disable(t.Context(), "alice"), s.Users().Disable(t.Context(), "alice"), s.Users().Enable(t.Context(), "alice")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, _, _, err := s.Users().LoginAccount(t.Context(), "alice"); err != nil {
			t.Errorf("login: %v", err)
		}
		wantAlive(t, s, "hers", false)
	})
}

func TestWithdrawingEndsTheGrantsOfOnePersonAtOneClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		alice, bob := s.person(t, "alice"), s.person(t, "bob")
		s.granted(t, "alice at person", alice, "person")
		s.granted(t, "bob at person", bob, "person")
		if err := s.Consents().Remember(t.Context(), alice.ID, "alice", "machine", "M", nil, []string{"a"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Consents().Withdraw(t.Context(), alice.ID, "person"); err != nil {
				t.Fatal(err)
			}
		}
		wantAlive(t, s, "alice at person", false)
		wantAlive(t, s, "bob at person", true)
		wantConsents(t, s, people.ConsentFilter{Subject: alice.ID}, "machine")
		wantConsents(t, s, people.ConsentFilter{ClientID: "person", Username: "bob"}, "person")

		n, err := s.Consents().WithdrawAll(t.Context(), people.ConsentFilter{ClientID: "person"})
		if err != nil || n != 1 {
			t.Errorf("withdrew %d, error %v", n, err)
		}
		wantAlive(t, s, "bob at person", false)
		wantSession(t, s, "browser of bob", true)
		for name, err := range map[string]error{
			"no subject": s.Consents().Withdraw(t.Context(), "", "person"), "no client": s.Consents().Withdraw(t.Context(), alice.ID, ""),
			"a consent of nobody":  s.Consents().Remember(t.Context(), "", "", "person", "", nil, nil),
			"the list of nobody":   s.Consents().Each(t.Context(), "", nil),
			"a consent to nothing": s.Consents().Remember(t.Context(), "ada", "", "", "", nil, nil),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if _, err := s.Consents().WithdrawAll(t.Context(), people.ConsentFilter{}); err == nil {
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
		if _, err := s.db.Run(t.Context(), `UPDATE {access_tokens} SET last_used_at = ?`, model.Millis(clock.at)); err != nil {
			t.Fatal(err)
		}
		var seen []string
		err := s.Consents().Each(t.Context(), "ada", func(clientID, _ string, _, _ []string, since, lastUsed time.Time) {
			seen = append(seen, clientID)
			if !since.Equal(clock.at) || !lastUsed.Equal(clock.at) {
				t.Errorf("since %v, last used %v; want %v", since, lastUsed, clock.at)
			}
		})
		if err != nil || !slices.Equal(seen, []string{"person"}) {
			t.Errorf("clients %q, error %v", seen, err)
		}
		if err := s.Consents().Withdraw(t.Context(), "ada", "person"); err != nil {
			t.Fatal(err)
		}
		wantAlive(t, s, "grant", false)
		wantConsents(t, s, people.ConsentFilter{Subject: "ada"})
	})
}

func TestADeletedClientIsNotListed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		s.granted(t, "hers", s.person(t, "alice"), "person")
		if err := s.Clients().Delete(t.Context(), "person"); err != nil {
			t.Fatal(err)
		}
		wantConsents(t, s, people.ConsentFilter{})
	})
}

// The log alone tells who had access and until when: each end of a consent says whose it was and what it was for.
func TestTheEndOfEachConsentIsOnRecord(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, end := range map[string]func(s *Store, user *people.User) error{
			"withdrawn": func(s *Store, user *people.User) error {
				_, err := s.Consents().WithdrawAll(t.Context(), people.ConsentFilter{Subject: user.ID})
				return err
			},
			"account deleted": func(s *Store, user *people.User) error { return s.Users().Delete(t.Context(), user.Username) },
			"kept out": func(s *Store, user *people.User) error {
				_, err := s.Users().KeepOut(t.Context(), user.ID)
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := e.storeWithClients(t)
				alice := s.person(t, "alice")
				for _, clientID := range []string{"machine", "person"} {
					if err := s.Consents().Remember(t.Context(), alice.ID, "alice", clientID, "P", []string{"r"}, []string{"a", "b"}); err != nil {
						t.Fatal(err)
					}
				}
				if err := end(s, alice); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, event := range s.eventsOf(t, "consent.withdrawn") {
					got = append(got, event.ClientID+" "+string(event.Changes))
				}
				changes := fmt.Sprintf(`{"resource":{"before":"r"},"scope":{"before":"a b"},"subject":{"after":%q},"username":{"after":"alice"}}`, alice.ID)
				if diff := cmp.Diff([]string{"machine " + changes, "person " + changes}, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// The name of a deleted account may be given to somebody else; its subject is what tokens and consents have.
func TestEventsOfAccountsNameTheSubject(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		alice := s.person(t, "alice")
		if err := s.Users().Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for _, action := range []string{"user.created", "user.deleted"} {
			events := s.eventsOf(t, action)
			if want := fmt.Sprintf(`{"subject":{"after":%q},"username":{"after":"alice"}}`, alice.ID); len(events) != 1 || string(events[0].Changes) != want {
				t.Errorf("%v, want %s", events, want)
			}
		}
	})
}

func TestLoginChangesAreAudited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		listener := new(told)
		s := e.storeWithClients(t, WithAuditListener(listener.listen))
		ctx := audit.WithOrigin(t.Context(), audit.Origin{Actor: "shell"})
		alice := &people.User{Username: "alice", PasswordHash: []byte("x")}
		for _, err := range []error{
			s.Users().Create(ctx, alice),
			s.Consents().Remember(t.Context(), alice.ID, "alice", "person", "P", []string{"r"}, []string{"a"}),
			s.Consents().Withdraw(t.Context(), alice.ID, "person"),
			s.Consents().Remember(t.Context(), alice.ID, "alice", "person", "P", []string{"r"}, []string{"a"}),
			s.Consents().Withdraw(ctx, alice.ID, "person"),
			s.Users().Delete(ctx, "alice"),
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

// Whoever has just shown that they are logged in must not be granted anything once the account is gone.
func TestNothingIsGrantedInTheNameOfAnAccountThatIsGone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, end := range map[string]func(s *Store) error{
			"disabled": func(s *Store) error { return s.Users().Disable(t.Context(), "alice") },
			"deleted":  func(s *Store) error { return s.Users().Delete(t.Context(), "alice") },
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

// Whoever disables an account comes before a grant in its name, or after it and ends it.
func TestDisablingAnAccountWaitsForAGrantThatIsUnderWay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		alice := s.person(t, "alice")
		request := s.authenticated(t, "person")
		request.Session = &fosite.DefaultSession{Subject: alice.ID}
		tx, err := s.BeginTX(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CreateAuthorizeCodeSession(tx, "code", request); err != nil {
			t.Fatal(err)
		}
		brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := s.Users().Disable(brief, "alice"); err == nil {
			t.Error("the account was disabled before the grant was there to be ended")
		}
		if err := s.Commit(tx); err != nil {
			t.Fatal(err)
		}
		if err := s.Users().Disable(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetAuthorizeCodeSession(t.Context(), "code", nil); !errors.Is(err, fosite.ErrInvalidatedAuthorizeCode) {
			t.Errorf("the code: error %v, want it ended", err)
		}
	})
}

// The host's logger sees the statements, at any level, and no value of them.
func TestNothingOfAPersonIsPrinted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		var printed bytes.Buffer
		quiet := e.storeWithClients(t)
		db := quiet.db.Host().Session(&gorm.Session{Logger: logger.New(log.New(&printed, "", 0), logger.Config{LogLevel: logger.Info})})
		s := New(db)
		alice := s.person(t, "alice", "staff")
		s.granted(t, "hers", alice, "person")
		_, consentErr := s.Consents().List(t.Context(), people.ConsentFilter{Subject: alice.ID, Username: "alice", ClientID: "person"})
		_, usersErr := s.Users().List(t.Context())
		_, _, sessionErr := s.LoginSessions().Find(t.Context(), "browser of alice")
		_, _, groupsErr := s.Users().CurrentGroups(t.Context(), alice.ID)
		for _, err := range []error{
			consentErr, usersErr, sessionErr, groupsErr,
			s.LoginSessions().CreateForPassword(t.Context(), "tab of alice", alice.ID, "alice", "local", alice.PasswordHash, nil, s.now().Add(time.Hour)),
			s.LoginSessions().Touch(t.Context(), "tab of alice"), s.LoginSessions().Delete(t.Context(), "tab of alice"),
			s.Users().SetGroups(t.Context(), "alice", []string{"guests"}), s.Users().SetPassword(t.Context(), "alice", []byte("new hash of alice")),
			s.Consents().Withdraw(t.Context(), alice.ID, "person"), s.Users().Disable(t.Context(), "alice"), s.Users().Delete(t.Context(), "alice"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, value := range []string{alice.ID, "alice", "staff", "guests", `"person"`, "'person'"} {
			if strings.Contains(printed.String(), value) {
				t.Errorf("the host application's logger printed %q", value)
			}
		}
		for _, table := range []string{"users", "user_groups", "consents", "login_sessions", "grants"} {
			if !strings.Contains(printed.String(), table) {
				t.Errorf("the host application's logger was not told of %s", table)
			}
		}
	})
}
