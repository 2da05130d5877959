package login_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
)

func TestAPersonLogsInConsentsAndWithdraws(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *gorm.DB) {
		s := newSiteOn(t, db)
		alice := s.user("alice", "staff", "docs")
		b := s.browser()

		b.get(request()).wantPage(200, "Log in")
		b.logIn("Alice ").wantPage(200, "Allow The app?")
		b.submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
		want := &handlers.Decision{
			Subject: alice.ID, Username: "alice", Groups: []string{"docs", "staff"}, AuthenticatedAt: s.clock,
		}
		if diff := cmp.Diff(want, s.decided); diff != "" {
			t.Errorf("decision (-want +got):\n%s", diff)
		}

		b.get(request()).wantClient(callback, "code", "the-code") // remembered
		b.get(base+"/grants").wantPage(200, "Connected applications")
		b.get(base+"/grants/withdraw?client_id=app").wantPage(200, "Withdraw the access of The app?")
		b.submit("/grants/withdraw").wantPage(200, "Connected applications")
		if !strings.Contains(b.body, "has no access any more") {
			t.Errorf("the page does not say that access was withdrawn:\n%s", b.body)
		}
		b.get(request()).wantPage(200, "Allow The app?") // forgotten

		b.get(base+"/logout").wantPage(200, "Log out?").submit("/logout").wantPage(200, "You are logged out")
		b.get(request()).wantPage(200, "Log in")
	})
}

// While the key is replaced, each page may come from another replica than the one before.
func TestALoginGoesOnAtReplicasThatSignWithAnotherKey(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	before, after := []byte(strings.Repeat("k", 32)), []byte(strings.Repeat("n", 32))
	signWith := func(key, previous []byte) {
		o := s.login.Options
		o.Key, o.PreviousKeys = key, [][]byte{previous}
		s.mount(o)
	}
	b := s.browser()
	for range 2 {
		signWith(before, after)
		b.get(request()).wantPage(200, "Log in")
		signWith(after, before)
		b.once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password), nil)
		signWith(before, after)
		b.get(b.answer.Header.Get("Location")).wantPage(200, "Allow The app?")
		signWith(after, before)
		b.once(http.MethodPost, base+"/consent", with(b.fields("/consent"), "answer", "deny"), nil)
		signWith(before, after)
		b.get(b.answer.Header.Get("Location")).wantClient(callback, "error", "access_denied")
		b.get(base+"/logout").wantPage(200, "Log out?")
		signWith(after, before)
		b.submit("/logout").wantPage(200, "You are logged out")
	}
}

func TestDenialGoesToTheClientOnce(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	b.submit("/consent", "answer", "deny").wantClient(callback, "error", "access_denied")
	b.get(request()).wantPage(200, "Allow The app?")
}

func TestADenialCountsForItsRequestOnly(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	b.once(http.MethodPost, base+"/consent", with(b.fields("/consent"), "answer", "deny"), nil)
	b.get(request("scope", "")).wantPage(200, "Allow The app?")
}

func TestConsentCoversLessButNeverMore(t *testing.T) {
	const more = "https://other.example.com/mcp"
	tests := []struct {
		name    string
		next    []string
		offline bool
		asks    bool
	}{
		{"the same", nil, false, false},
		{"a part", []string{"scope", "mcp:search"}, false, false},
		{"another scope", []string{"scope", "mcp:search mcp:write mcp:admin"}, false, true},
		{"another resource", []string{"resource", more}, false, true},
		{"lasting access", nil, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			s.user("alice")
			b := s.browser().get(request("scope", "mcp:search mcp:write")).logIn("alice").submit("/consent", "answer", "allow")
			b.wantClient(callback, "code", "the-code")
			s.asked.Offline = test.offline
			b.get(request(test.next...))
			if test.asks {
				b.wantPage(200, "Allow The app?").submit("/consent", "answer", "allow")
			}
			b.wantClient(callback, "code", "the-code")
		})
	}
}

func TestConsentIsForOnePersonAndOneClient(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	s.user("bob")
	s.client("other", callback)
	s.browser().get(request()).logIn("alice").submit("/consent", "answer", "allow").
		get(request("client_id", "other")).wantPage(200, "Allow The other?")
	s.browser().get(request()).logIn("bob").wantPage(200, "Allow The app?")
}

// RFC 8252 §8.6: what nobody can tell apart from another program is asked about every time.
func TestConsentIsAskedAgainWhereAnyProgramCouldAnswer(t *testing.T) {
	tests := []struct {
		redirect string
		again    bool
	}{
		{"https://app.example.com/callback", false},
		{"http://127.0.0.1:33418/", true},
		{"http://[::1]:33418/", true},
		{"http://localhost:33418/callback", true},
		{"https://localhost/callback", true},
		{"cursor://anysphere.cursor-mcp/oauth/callback", true},
	}
	for _, test := range tests {
		t.Run(test.redirect, func(t *testing.T) {
			s := newSite(t)
			s.user("alice")
			b := s.browser().get(request("redirect_uri", test.redirect)).logIn("alice").submit("/consent", "answer", "allow")
			b.wantClient(test.redirect, "code", "the-code").get(request("redirect_uri", test.redirect))
			if test.again {
				b.wantPage(200, "Allow The app?").submit("/consent", "answer", "allow")
			}
			b.wantClient(test.redirect, "code", "the-code")
		})
	}
}

func TestPrompt(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	none, again, consent := request("prompt", "none"), request("prompt", "login"), request("prompt", "consent")

	b := s.browser().get(none).wantClient(callback, "error", "login_required")
	b.get(request()).logIn("alice").get(none).wantClient(callback, "error", "consent_required")
	b.get(request()).submit("/consent", "answer", "allow").get(none).wantClient(callback, "code", "the-code")

	b.get(consent).wantPage(200, "Allow The app?").submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	b.get(consent).wantPage(200, "Allow The app?")

	before := b.session()
	s.clock = s.clock.Add(time.Minute)
	b.get(again).wantPage(200, "Log in").logIn("alice").wantClient(callback, "code", "the-code")
	if b.session() == before || !s.decided.AuthenticatedAt.Equal(s.clock) {
		t.Errorf("prompt=login did not lead to a new login: authenticated at %v", s.decided.AuthenticatedAt)
	}
	b.get(again).wantPage(200, "Log in") // once means once
	both := request("prompt", "login consent")
	b.get(both).wantPage(200, "Log in").logIn("alice").wantPage(200, "Allow The app?").submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	b.get(request("prompt", "select_account")).wantPage(200, "Log in")
}

func TestMaxAge(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	young, silent := request("max_age", "600"), request("max_age", "600", "prompt", "none")
	b := s.browser().get(silent).wantClient(callback, "error", "login_required")
	b.get(young).logIn("alice").submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	loggedIn := s.clock

	s.clock = loggedIn.Add(10 * time.Minute)
	b.get(young).wantClient(callback, "code", "the-code").get(silent).wantClient(callback, "code", "the-code")
	if !s.decided.AuthenticatedAt.Equal(loggedIn) {
		t.Errorf("authenticated at %v, want %v", s.decided.AuthenticatedAt, loggedIn)
	}
	s.clock = s.clock.Add(time.Second)
	b.get(silent).wantClient(callback, "error", "login_required")
	b.get(young).wantPage(200, "Log in").logIn("alice").wantClient(callback, "code", "the-code")
	if !s.decided.AuthenticatedAt.Equal(s.clock) {
		t.Errorf("authenticated at %v, want %v", s.decided.AuthenticatedAt, s.clock)
	}
	b.get(request("max_age", "0")).wantPage(200, "Log in").logIn("alice").wantClient(callback, "code", "the-code")
	b.get(request("max_age", "0")).wantPage(200, "Log in")
}

// Sessions of earlier versions hold a time that could be made up.
func TestASessionThatProvesNoTimeIsNotFresh(t *testing.T) {
	s := newSite(t)
	alice := s.user("alice")
	b := s.browser()
	data := fmt.Sprintf(`{"sub":%q,"username":"alice","method":"local","auth_time":%q}`, alice.ID, s.clock.Format(time.RFC3339))
	if err := s.store.LoginSessions().Create(t.Context(), "old", alice.ID, "alice", "local", []byte(data), s.clock.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	b.cookies["__Host-fosite_mcp_session"] = "old"
	b.get(request("max_age", "600", "prompt", "none")).wantClient(callback, "error", "login_required")
	b.get(request("max_age", "600")).wantPage(200, "Log in")
	b.get(request()).wantPage(200, "Allow The app?")
}

func TestAFreshLoginForOneRequestIsNoneForAnother(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request("prompt", "login"))
	b.once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password), nil)
	b.get(request("prompt", "login", "scope", "")).wantPage(200, "Log in")
}

func TestASessionThatEndsWhileTheConsentPageIsOpenGrantsNothing(t *testing.T) {
	tests := []struct {
		name string
		end  func(s *site, b *browser)
	}{
		{"it expires", func(s *site, _ *browser) { s.clock = s.clock.Add(13 * time.Hour) }},
		{"nobody was there for an hour", func(s *site, _ *browser) { s.clock = s.clock.Add(time.Hour) }},
		{"the account is disabled", func(s *site, _ *browser) {
			if err := s.store.Users().Disable(s.t.Context(), "alice"); err != nil {
				s.t.Fatal(err)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			alice := s.user("alice")
			b := s.browser().get(request()).logIn("alice").wantPage(200, "Allow The app?")
			test.end(s, b)
			b.submit("/consent", "answer", "allow").wantPage(200, "Log in")
			s.wantNoConsent(alice.ID)
		})
	}
}

func TestAConsentPageOfOnePersonGrantsNothingForAnother(t *testing.T) {
	s := newSite(t)
	alice, bob := s.user("alice"), s.user("bob")
	b := s.browser().get(request()).logIn("alice")
	page := b.fields("/consent")
	b.submit("/logout").logIn("bob").wantPage(200, "Allow The app?")
	page.Set("csrf", b.fields("/consent").Get("csrf")) // even with a token that is good
	b.send(http.MethodPost, base+"/consent", with(page, "answer", "allow"), nil).wantPage(200, "Allow The app?")
	s.wantNoConsent(alice.ID)
	s.wantNoConsent(bob.ID)
}

func TestASessionThatIsUsedStaysUntilTwelveHours(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	for range 14 {
		s.clock = s.clock.Add(50 * time.Minute)
		b.get(request()).wantPage(200, "Allow The app?")
	}
	s.clock = s.clock.Add(50 * time.Minute)
	b.get(request()).wantPage(200, "Log in")
}

func TestLoggingInTwiceDoesNoHarm(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request("prompt", "login"))
	form := with(b.fields("/login"), "username", "alice", "password", password)
	b.once(http.MethodPost, base+"/login", form, nil)
	b.send(http.MethodPost, base+"/login", form, nil).wantPage(200, "Allow The app?")
}

// A form of a page that is older than the login is not taken for a double click when it names somebody else.
func TestAnOldLoginFormDoesNotGoOnAsSomebodyElse(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	s.user("bob")
	b := s.browser().get(request())
	form := with(b.fields("/login"), "username", "bob", "password", password)
	b.logIn("alice").wantPage(200, "Allow The app?")
	b.send(http.MethodPost, base+"/login", form, nil).wantPage(403, "Log in")
	b.logIn("bob").wantPage(200, "Allow The app?").submit("/consent", "answer", "allow")
	if s.decided.Username != "bob" {
		t.Errorf("granted by %q, want bob", s.decided.Username)
	}
}

func TestLoggingOutTwiceDoesNoHarm(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice").get(base + "/grants")
	form := b.fields("/logout")
	for range 2 {
		b.send(http.MethodPost, base+"/logout", form, nil).wantPage(200, "You are logged out")
	}
	b.get(request()).logIn("alice")
	b.send(http.MethodPost, base+"/logout", form, nil).wantPage(403, "That was not accepted")
}

func TestAllowingTwiceDoesNoHarm(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	form := with(b.fields("/consent"), "answer", "allow")
	b.once(http.MethodPost, base+"/consent", form, nil)
	b.once(http.MethodPost, base+"/consent", form, nil)
	b.get(b.answer.Header.Get("Location")).wantClient(callback, "code", "the-code")
	b.send(http.MethodPost, base+"/consent", form, nil).wantClient(callback, "code", "the-code")
	if grants := strings.Count(b.get(base+"/grants").body, "<section"); grants != 1 {
		t.Errorf("%d connected applications, want 1", grants)
	}
}

func TestWithdrawingTwiceDoesNoHarm(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice").submit("/consent", "answer", "allow").get(base + "/grants/withdraw?client_id=app")
	form := b.fields("/grants/withdraw")
	for range 2 {
		b.send(http.MethodPost, base+"/grants/withdraw", form, nil).wantPage(200, "Connected applications")
		if !strings.Contains(b.body, "<bdi>The app</bdi> has no access any more.") {
			t.Errorf("the page does not say that access was withdrawn:\n%s", b.body)
		}
	}
	b.get(base+"/grants/withdraw?client_id=app").wantPage(404, "Nothing to see here")
}

func TestNotYouLeadsToAnotherLoginAndBack(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	s.user("bob")
	b := s.browser().get(request()).logIn("alice").wantPage(200, "Allow The app?")
	b.submit("/logout").wantPage(200, "Log in").logIn("bob").wantPage(200, "Allow The app?")
	b.submit("/consent", "answer", "allow")
	if s.decided.Username != "bob" {
		t.Errorf("granted by %q, want bob", s.decided.Username)
	}
}

func TestGroupsAreThoseOfToday(t *testing.T) {
	s := newSite(t)
	s.user("alice", "old")
	b := s.browser().get(request()).logIn("alice").submit("/consent", "answer", "allow")
	if err := s.store.Users().SetGroups(t.Context(), "alice", []string{"new"}); err != nil {
		t.Fatal(err)
	}
	b.get(request()).wantClient(callback, "code", "the-code")
	if !slices.Equal(s.decided.Groups, []string{"new"}) {
		t.Errorf("groups %q, want new", s.decided.Groups)
	}
}

func TestAnOutageIs503OnEveryPage(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	consent, logout := with(b.fields("/consent"), "answer", "allow"), b.fields("/logout")
	login := with(s.browser().get(request()).fields("/login"), "username", "alice", "password", password)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	const heading = "Please try again in a moment"
	b.get(request()).wantPage(503, heading)
	b.get(base+"/grants").wantPage(503, heading)
	b.send(http.MethodPost, base+"/consent", consent, nil).wantPage(503, heading)
	b.send(http.MethodPost, base+"/logout", logout, nil).wantPage(503, heading)
	if b.session() == "" {
		t.Error("the browser lost its session in an outage: it looks logged out and is not")
	}
	login.Set("csrf", logout.Get("csrf"))
	b.send(http.MethodPost, base+"/login", login, nil).wantPage(503, heading)
	if b.answer.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
