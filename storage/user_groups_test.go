package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

// member is a session that tells a person's groups.
type member struct {
	Person string
	Groups []string
}

func (m *member) SetCurrentGroups(groups []string)         { m.Groups = groups }
func (m *member) SetExpiresAt(fosite.TokenType, time.Time) {}
func (m *member) GetExpiresAt(fosite.TokenType) time.Time  { return time.Time{} }
func (m *member) GetUsername() string                      { return m.Person }
func (m *member) GetSubject() string                       { return m.Person }
func (m *member) Clone() fosite.Session                    { c := *m; return &c }

// groupsOf reads what was issued under name, each kind of token in each way, and returns the groups of each.
func (s *Store) groupsOf(t *testing.T, name string) map[string][]string {
	t.Helper()
	groups := make(map[string][]string)
	look := func(kind string, request fosite.Requester, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		groups[kind] = request.GetSession().(*member).Groups
	}
	access, err := s.GetAccessTokenSession(t.Context(), name, nil)
	look("access token", access, err)
	ahead, err := s.introspected(t, "caller", name)
	look("access token, read ahead", ahead, err)
	refresh, err := s.GetRefreshTokenSession(t.Context(), name, nil)
	look("refresh token", refresh, err)
	code, err := s.GetAuthorizeCodeSession(t.Context(), name, &member{})
	look("code", code, err)
	return groups
}

// What an administrator takes from a person is gone from the tokens that the person has granted.
func TestGroupsOfALocalAccountAreThoseOfNow(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t, WithSessions(&member{}))
		alice := s.person(t, "alice", "staff", "docs")
		for name, subject := range map[string]string{"alice": alice.ID, "upstream": "oidc|https://id.example.com|7", "theirs": "user_of_a_team"} {
			request := s.authenticated(t, "person")
			request.Session = &member{Person: subject, Groups: []string{"old"}}
			s.issue(t, name, request)
		}
		check := func(when, name string, want []string) {
			t.Helper()
			for kind, got := range s.groupsOf(t, name) {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, %s of %s (-want +got):\n%s", when, kind, name, diff)
				}
			}
		}
		check("at first", "alice", []string{"docs", "staff"})
		for when, groups := range map[string][]string{"one taken": {"staff"}, "another one": {"new"}, "none": nil} {
			if err := s.Users().SetGroups(t.Context(), "alice", groups); err != nil {
				t.Fatal(err)
			}
			check(when, "alice", groups)
			check(when, "upstream", []string{"old"})
			check(when, "theirs", []string{"old"}) // no account of ours, whatever it is called
		}
	})
}

// What a transaction has written is seen in it.
func TestGroupsAreReadWhereTheTokenIs(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t, WithSessions(&member{}))
		alice := s.person(t, "alice", "staff")
		request := s.authenticated(t, "person")
		request.Session = &member{Person: alice.ID}
		s.issue(t, "token", request)
		err := s.Atomically(t.Context(), func(ctx context.Context) error {
			if err := s.Users().SetGroups(ctx, "alice", nil); err != nil {
				return err
			}
			token, err := s.GetAccessTokenSession(ctx, "token", nil)
			if err == nil && len(token.GetSession().(*member).Groups) > 0 {
				t.Errorf("the groups are %v", token.GetSession().(*member).Groups)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A database that does not tell the groups is an outage: neither the groups of old nor "no such token".
func TestGroupsThatCannotBeReadAreAnOutage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t, WithSessions(&member{}))
		alice := s.person(t, "alice", "staff")
		for name, session := range map[string]fosite.Session{
			"person": &member{Person: alice.ID, Groups: []string{"staff"}}, "machine": &member{}, "no member": &fosite.DefaultSession{Subject: alice.ID},
		} {
			request := s.authenticated(t, "person")
			request.Session = session
			s.issue(t, name, request)
		}
		for _, table := range []string{"user_groups", "users"} {
			if _, err := s.db.Run(t.Context(), `DROP TABLE {`+table+`}`); err != nil {
				t.Fatal(err)
			}
		}
		for name, kinds := range map[string]bool{"person": false, "machine": true, "no member": true} {
			_, err := s.GetAccessTokenSession(t.Context(), name, nil)
			if works := err == nil; works != kinds || errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: error %v, want that it works: %v", name, err, kinds)
			}
		}
	})
}
