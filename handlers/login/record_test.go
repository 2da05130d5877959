package login_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"fosite-mcp/handlers/login"
	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
)

// failures collects what Options.LoginFailed is told.
type failures struct{ list []string }

func (f *failures) option(o *login.Options) {
	o.LoginFailed = func(_ *http.Request, method, username string) { f.list = append(f.list, method+" "+username) }
}

// logins are the logins on record.
func (s *site) logins() (events []string) {
	s.t.Helper()
	stored, _, err := s.store.Audit().List(s.t.Context(), audit.Filter{Action: "user.logged_in"})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range stored {
		events = append(events, e.Actor+" "+e.Outcome+" "+string(e.Changes))
	}
	return events
}

func TestEachLoginIsOnRecord(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *gorm.DB) {
		var failed failures
		s := newSiteOn(t, db, failed.option, byHeader)
		alice := s.user("alice")
		b := s.browser().get(request()).logIn("alice")
		b.get(base + "/grants").get(request()) // neither is a login
		s.browser().through(proxy, "carol", "").get(request()).get(request())
		want := []string{
			`user:alice success {"method":{"after":"local"},"subject":{"after":"` + alice.ID + `"},"username":{"after":"alice"}}`,
			`user:carol success {"method":{"after":"header"},"subject":{"after":"header|carol"},"username":{"after":"carol"}}`,
		}
		if diff := cmp.Diff(want, s.logins()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if failed.list != nil {
			t.Errorf("failures: %v", failed.list)
		}
	})
}

func TestALoginThroughTheProviderIsOnRecord(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	u.now = func() time.Time { return s.clock }
	b := s.browser().get(request())
	b.comeBack("state", b.goTo(u).Get("state"))
	want := []string{`user:jane success {"method":{"after":"oidc"},"subject":{"after":"oidc|` + u.URL + `|248289761001"},"username":{"after":"jane"}}`}
	if diff := cmp.Diff(want, s.logins()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// The name of an account is told, and nothing else that was typed: it may be a password in the wrong field.
func TestFailedLoginsAreTold(t *testing.T) {
	var failed failures
	u := newUpstream(t)
	s := newSite(t, failed.option, byHeader, u.option)
	u.now = func() time.Time { return s.clock }
	s.user("alice")
	s.user("gone")
	if err := s.store.Users().Disable(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	wrong := func(name string) func() {
		return func() { s.browser().get(request()).submit("/login", "username", name, "password", "wrong password 1") }
	}
	back := func(answer ...string) func() {
		return func() {
			b := s.browser().get(request())
			b.comeBack(append(answer, "state", b.goTo(u).Get("state"))...)
		}
	}
	for _, c := range []struct {
		name string
		try  func()
		want []string
	}{
		{"a wrong password", wrong("Alice "), []string{"local alice"}},
		{"no such account", wrong("hunter2"), []string{"local "}},
		{"a disabled account", wrong("gone"), []string{"local "}},
		{"a proxy that says nothing", func() { s.browser().get(request()).submit("/login", "method", "header") }, []string{"header "}},
		{"a refusal of the provider", back("error", "access_denied"), []string{"oidc "}},
		{"an answer that proves nothing", back("code", "bad"), []string{"oidc "}},
		{"an answer of another issuer", back("iss", "https://evil.example"), []string{"oidc "}},
		{"no password", func() { s.browser().get(request()).submit("/login", "username", "alice", "password", "") }, nil},
		{"the right password", func() { s.browser().get(request()).logIn("alice") }, nil},
	} {
		s.clock = s.clock.Add(time.Hour)
		failed.list = nil
		c.try()
		if diff := cmp.Diff(c.want, failed.list); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestAnOutageIsNoFailedLogin(t *testing.T) {
	var failed failures
	accounts, hasher := &failingAccounts{}, &queueHasher{}
	s := newSite(t, failed.option, func(o *login.Options) {
		accounts.Accounts, o.Local.Accounts = o.Local.Accounts, accounts
		o.Local.Hasher = hasher
	})
	s.user("alice")
	b := s.browser().get(request())
	accounts.down = true
	b.logIn("alice").wantPage(503, "Please try again in a moment")
	accounts.down, hasher.busy = false, true
	b.get(request()).logIn("alice").wantPage(503, "Log in")
	if failed.list != nil {
		t.Errorf("failures: %v", failed.list)
	}
}

// A login that cannot be put on record does not happen.
func TestALoginWithoutItsEventDoesNotHappen(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *gorm.DB) {
		s := newSiteOn(t, db)
		s.user("alice")
		if err := db.Exec(`ALTER TABLE audit_events RENAME TO away`).Error; err != nil {
			t.Fatal(err)
		}
		b := s.browser().get(request()).logIn("alice").wantPage(503, "Please try again in a moment")
		if b.session() != "" {
			t.Error("the browser has a session")
		}
		var rows int64
		if err := errors.Join(db.Table("login_sessions").Count(&rows).Error); err != nil || rows != 0 {
			t.Errorf("%d sessions are stored (%v)", rows, err)
		}
	})
}
