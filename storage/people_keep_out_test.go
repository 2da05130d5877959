package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"fosite-mcp/storage/people"
)

// outsider is somebody whom a provider has named.
const outsider = "oidc|https://idp.example|123"

// One call ends everything of one person and nothing of another, and the feed tells it.
func TestKeepingAPersonOutEndsEverything(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, who := range map[string]func(s *Store) *people.User{
			"with an account":    func(s *Store) *people.User { return s.person(t, "alice") },
			"without an account": func(*Store) *people.User { return &people.User{ID: outsider, Username: "alice"} },
		} {
			t.Run(name, func(t *testing.T) {
				s := e.storeWithClients(t)
				alice := who(s)
				s.granted(t, "hers", alice, "person")
				s.granted(t, "his", s.person(t, "bob"), "person")
				second := s.authenticated(t, "person")
				second.Session = &fosite.DefaultSession{Subject: alice.ID}
				s.issueFor(t, "second", second)
				cursor := s.feedCursor(t)

				ended, err := s.Users().KeepOut(t.Context(), alice.ID)
				if diff := cmp.Diff(people.Ended{Sessions: 1, Consents: 1, Grants: 2}, ended); err != nil || diff != "" {
					t.Fatalf("error %v; ended (-want +got):\n%s", err, diff)
				}
				wantAlive(t, s, "hers", false)
				wantAlive(t, s, "second", false)
				wantSession(t, s, "browser of alice", false)
				wantConsents(t, s, people.ConsentFilter{Subject: alice.ID})
				if !tells(s.revoked(t, cursor, 10), "second", "", time.Time{}) {
					t.Error("the feed does not tell that the token has ended")
				}
				if err := s.CreateAuthorizeCodeSession(t.Context(), "after", second); !errors.Is(err, fosite.ErrAccessDenied) {
					t.Errorf("a new grant: %v, want access denied", err)
				}
				err = s.LoginSessions().Create(t.Context(), "another", alice.ID, "alice", "oidc", []byte("{}"), s.now().Add(time.Hour))
				if !errors.Is(err, fosite.ErrAccessDenied) {
					t.Errorf("a new login: %v, want access denied", err)
				}
				wantAlive(t, s, "his", true)
				wantSession(t, s, "browser of bob", true)

				user, err := s.Users().Get(t.Context(), alice.ID)
				if err != nil || user.DisabledAt.IsZero() {
					t.Errorf("the account is %+v, error %v", user, err)
				}
				if again, err := s.Users().KeepOut(t.Context(), alice.ID); err != nil || again != (people.Ended{}) {
					t.Errorf("repeated: %+v %v", again, err)
				}
			})
		}
	})
}

func TestWhoIsKeptOutWithoutAnAccountIsLetInAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "person")
		request.Session = &fosite.DefaultSession{Subject: outsider}
		if _, err := s.Users().KeepOut(t.Context(), outsider); err != nil { // who has never been here
			t.Fatal(err)
		}
		if err := s.CreateAuthorizeCodeSession(t.Context(), "kept out", request); !errors.Is(err, fosite.ErrAccessDenied) {
			t.Errorf("a grant: %v, want access denied", err)
		}
		if accounts, err := s.Users().List(t.Context()); err != nil || len(accounts) != 0 {
			t.Errorf("the list of accounts has %v, error %v", accounts, err)
		}
		if _, err := s.Users().Find(t.Context(), "subject "+outsider); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("an account is found: %v", err)
		}
		for range 2 {
			err := s.Users().LetIn(t.Context(), outsider)
			if want := s.CreateAuthorizeCodeSession(t.Context(), "let in", request); want != nil && err == nil {
				t.Errorf("a grant: %v", want)
			}
			if err != nil && !errors.Is(err, fosite.ErrNotFound) {
				t.Error(err)
			}
		}
		alice := s.person(t, "alice")
		if err := s.Users().Delete(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{"user_nobody", alice.ID} {
			if _, err := s.Users().KeepOut(t.Context(), gone); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: %v, want not found", gone, err)
			}
			if err := s.Users().LetIn(t.Context(), gone); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s is let in: %v", gone, err)
			}
		}
		if _, err := s.Users().KeepOut(t.Context(), ""); err == nil {
			t.Error("nobody is kept out")
		}
	})
}

// There is no account to wait for here, and a grant under way must not get past whoever ends all of them.
func TestKeepingAnOutsiderOutWaitsForAGrantThatIsUnderWay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "person")
		request.Session = &fosite.DefaultSession{Subject: outsider}
		tx, err := s.BeginTX(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CreateAuthorizeCodeSession(tx, "code", request); err != nil {
			t.Fatal(err)
		}
		brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := s.Users().KeepOut(brief, outsider); err == nil {
			t.Error("it was done before the grant was there to be ended")
		}
		if err := s.Commit(tx); err != nil {
			t.Fatal(err)
		}
		if ended, err := s.Users().KeepOut(t.Context(), outsider); err != nil || ended.Grants != 1 {
			t.Fatalf("%+v %v", ended, err)
		}
		if _, err := s.GetAuthorizeCodeSession(t.Context(), "code", nil); !errors.Is(err, fosite.ErrInvalidatedAuthorizeCode) {
			t.Errorf("the code: error %v, want it ended", err)
		}
	})
}

func TestPagesOfAccounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		s.person(t, "ada", "staff", "docs")
		s.person(t, "bob_b")
		s.person(t, "carol")
		if _, err := s.Users().KeepOut(t.Context(), outsider); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{s.Users().Disable(t.Context(), "carol"), s.Users().Delete(t.Context(), "carol"), s.Users().Disable(t.Context(), "bob_b")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		yes, no := true, false
		for name, test := range map[string]struct {
			filter people.UserFilter
			want   []string
		}{
			"all": {people.UserFilter{}, []string{"ada", "bob_b", ""}}, "one by one": {people.UserFilter{Limit: 1}, []string{"ada", "bob_b", ""}},
			"active": {people.UserFilter{Disabled: &no}, []string{"ada"}}, "disabled": {people.UserFilter{Disabled: &yes}, []string{"bob_b", ""}},
			"by text": {people.UserFilter{Query: "OB_"}, []string{"bob_b"}}, "by name": {people.UserFilter{Username: "ADA"}, []string{"ada"}},
			"a wildcard": {people.UserFilter{Query: "%"}, nil}, "by subject": {people.UserFilter{Query: "idp.example|1"}, []string{""}},
		} {
			var got []string
			for more := true; more; {
				var page []*people.User
				var err error
				if page, more, err = s.Users().Page(t.Context(), test.filter); err != nil {
					t.Fatal(err)
				}
				for _, user := range page {
					got, test.filter.After = append(got, user.Username), user.Place
					if user.Username == "ada" && !cmp.Equal(user.Groups, []string{"docs", "staff"}) {
						t.Errorf("%s: the groups are %q", name, user.Groups)
					}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// A grant or a login that begins while somebody is being kept out waits for that, and is refused then.
func TestAGrantWaitsForWhoeverKeepsAnOutsiderOut(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "person")
		request.Session = &fosite.DefaultSession{Subject: outsider}
		for table, begin := range map[string]func() error{
			"grants": func() error { return s.CreateAuthorizeCodeSession(soon(t), "code", request) },
			"login_sessions": func() error {
				return s.LoginSessions().Create(soon(t), "browser", outsider, "eve", "oidc", []byte("{}"), s.now().Add(time.Hour))
			},
		} {
			tx, err := s.BeginTX(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Users().KeepOut(tx, outsider); err != nil {
				t.Fatal(err)
			}
			begun, watch := make(chan error, 1), soon(t)
			go func() { begun <- begin() }()
			for waiting := int64(0); waiting == 0 && s.db.Postgres && len(begun) == 0; {
				if err := s.db.Read(watch).QueryRow(`SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = '{` + table + `}'::regclass`).Scan(&waiting); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Commit(tx); err != nil {
				t.Fatal(err)
			}
			if err := <-begun; !errors.Is(err, fosite.ErrAccessDenied) {
				t.Errorf("%s: %v, want access denied", table, err)
			}
			if err := s.Users().LetIn(t.Context(), outsider); err != nil {
				t.Fatal(err)
			}
		}
	})
}
