package login_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/login"
)

const proxy = "10.0.0.5:3000"

func byHeader(o *login.Options) {
	o.Header = &login.Header{Name: "X-Forwarded-User", Groups: "X-Forwarded-Groups", Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8::/64")}}
}

func (b *browser) through(peer, name, groups string) *browser {
	b.peer = peer
	b.header["X-Forwarded-User"], b.header["X-Forwarded-Groups"] = []string{name}, []string{groups}
	return b
}

func TestTheProxyNamesThePerson(t *testing.T) {
	for _, peer := range []string{proxy, "[::ffff:10.0.0.5]:3000", "[2001:db8::7]:3000"} {
		s := newSite(t, byHeader)
		b := s.browser().through(peer, "carol", "staff, docs,,staff, b\u202ead")
		b.get(request()).wantPage(200, "Allow The app?").submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
		if s.decided.Subject != "header|carol" || s.decided.Username != "carol" || !slices.Equal(s.decided.Groups, []string{"staff", "docs"}) {
			t.Errorf("%s: decided %+v", peer, s.decided)
		}
	}
}

func TestAHeaderFromAnybodyElseIsIgnored(t *testing.T) {
	tests := []struct {
		name, peer string
		header     http.Header
	}{
		{"another address", stranger, nil},
		{"an address beside the network", "10.0.1.5:3000", nil},
		{"another address that says it is the proxy", stranger, http.Header{"X-Forwarded-For": {"10.0.0.5"}, "Forwarded": {"for=10.0.0.5"}, "X-Real-Ip": {"10.0.0.5"}}},
		{"a peer that is no address", "@", nil},
		{"the proxy, twice", proxy, http.Header{"X-Forwarded-User": {"carol", "admin"}}},
		{"the proxy, with two lists of groups", proxy, http.Header{"X-Forwarded-Groups": {"staff", "admins"}}},
		{"the proxy, with an empty second list of groups", proxy, http.Header{"X-Forwarded-Groups": {"staff", ""}}},
		{"the proxy, empty", proxy, http.Header{"X-Forwarded-User": {" "}}},
		{"the proxy, with a trick", proxy, http.Header{"X-Forwarded-User": {"carol\u202e"}}},
		{"the proxy, too long", proxy, http.Header{"X-Forwarded-User": {strings.Repeat("x", 300)}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, byHeader)
			b := s.browser().through(test.peer, "carol", "staff")
			for name, values := range test.header {
				b.header[name] = values
			}
			b.get(request()).wantPage(200, "Log in")
			if b.session() != "" || strings.Contains(b.body, "Continue as") {
				t.Error("somebody was logged in")
			}
			b.submit("/login", "method", "header").wantPage(403, "Log in")
			b.get(base+"/grants").wantPage(200, "Log in")
			if test.header == nil && !strings.Contains(s.log.String(), "ignored the header") {
				t.Error("the log says nothing")
			}
		})
	}
}

// Somebody whom an administrator keeps out is told so, wherever they come from, and is not sent round in circles.
func TestWhoIsKeptOutIsTold(t *testing.T) {
	s := newSite(t, byHeader)
	if _, err := s.store.Users().KeepOut(t.Context(), "header|carol"); err != nil {
		t.Fatal(err)
	}
	b := s.browser().through(proxy, "carol", "staff")
	b.get(request()).wantPage(403, "That was not accepted")
	if b.session() != "" || !strings.Contains(b.body, "You may not log in here any more") {
		t.Errorf("the page says %s", b.body)
	}
	s.browser().through(proxy, "dave", "").get(request()).wantPage(200, "Allow The app?")
}

func TestAHeaderMeansNothingWhereItIsNotConfigured(t *testing.T) {
	s := newSite(t)
	s.browser().through(proxy, "carol", "staff").get(request()).wantPage(200, "Log in")
}

func TestASessionOfTheProxyNeedsTheProxy(t *testing.T) {
	s := newSite(t, byHeader)
	b := s.browser().through(proxy, "carol", "staff").get(request()).wantPage(200, "Allow The app?")
	b.peer = stranger
	b.get(request()).wantPage(200, "Log in")
	b.through(proxy, "dave", "").get(request()).submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	if s.decided.Username != "dave" {
		t.Errorf("the proxy says dave, decided by %q", s.decided.Username)
	}
}

func TestNoAccountOfTheProxyIsALocalOne(t *testing.T) {
	s := newSite(t, byHeader)
	alice := s.user("alice")
	s.browser().through(proxy, alice.ID, "").get(request()).submit("/consent", "answer", "allow")
	if s.decided.Subject == alice.ID {
		t.Error("the proxy logged somebody in to a local account")
	}
}

// The proxy says who is there, and not since when.
func TestTheProxyProvesNoFreshLogin(t *testing.T) {
	for _, demand := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"max_age", "86400"}, {"prompt", "login consent"}} {
		s := newSite(t, byHeader, func(o *login.Options) { o.Local = nil })
		b := s.browser().through(proxy, "carol", "").get(request(demand...)).wantPage(200, "Log in")
		if strings.Contains(b.body, "Continue as") || !strings.Contains(b.body, "another way to log in") {
			t.Errorf("%v: the page offers it, or does not say what to do:\n%s", demand, b.body)
		}
		asked := b.get(request()).wantPage(200, "Allow The app?").session() // what the proxy is good for
		form := with(s.loginForm(b), "method", "header", "continue", request(demand...))
		b.send(http.MethodPost, base+"/login", form, nil).wantPage(403, "Log in")
		if !strings.Contains(b.body, "another way to log in") || b.session() != asked {
			t.Errorf("%v: session changed, or the page does not say what to do:\n%s", demand, b.body)
		}
		b.get(request(demand...)).wantPage(200, "Log in")
	}
	s := newSite(t, byHeader)
	s.browser().through(proxy, "carol", "").get(request("max_age", "60", "prompt", "none")).wantClient(callback, "error", "login_required")
}

// The authorize endpoint takes an empty parameter for none (RFC 6749 §3.1), and the login reads the same request.
func TestAnEmptyParameterHidesNoDemandForAFreshLogin(t *testing.T) {
	for _, demand := range []string{"&prompt=&prompt=login", "&prompt=login&prompt=", "&max_age=&max_age=0", "&max_age=&max_age=600"} {
		s := newSite(t, byHeader)
		b := s.browser().through(proxy, "carol", "").get(request()+demand).wantPage(200, "Log in")
		if strings.Contains(b.body, "Continue as") {
			t.Errorf("%s: the page offers a login that proves nothing", demand)
		}
		b.submit("/login", "method", "header").wantPage(403, "Log in")
		form := with(s.loginForm(b), "method", "header", "continue", request()+demand)
		b.send(http.MethodPost, base+"/login", form, nil).wantPage(403, "Log in")
		b.get(request()+demand).wantPage(200, "Log in")

		u := newUpstream(t)
		s = newSite(t, u.option)
		u.now = func() time.Time { return s.clock }
		u.claims["auth_time"] = s.clock.Add(-time.Hour).Unix()
		b = s.browser().get(request() + demand)
		query := b.goTo(u)
		if !query.Has("max_age") || strings.Contains(demand, "login") != (query.Get("prompt") == "login") {
			t.Errorf("%s: the provider is asked for %v", demand, query)
		}
		b.comeBack("state", query.Get("state")).wantPage(403, "Log in")
	}
}

// What was a login for one demand is none for a greater one.
func TestALoginThatProvesLessThanIsAskedForIsNone(t *testing.T) {
	s := newSite(t, byHeader)
	s.asked.MaxAge = new(time.Duration) // beyond what the URL says
	b := s.browser().through(proxy, "carol", "").get(request()).wantPage(200, "Log in")
	b.submit("/login", "method", "header").wantPage(200, "Log in")
}

// loginForm is the form of a login page that nobody has asked a fresh login of.
func (s *site) loginForm(b *browser) url.Values {
	s.t.Helper()
	b.get(base + "/login?continue=" + url.QueryEscape(request()))
	return b.fields("/login")
}

func TestAPersonOfTheProxyCanLogInAfreshWithAPassword(t *testing.T) {
	s := newSite(t, byHeader)
	s.user("alice")
	b := s.browser().through(proxy, "carol", "").get(request("prompt", "login")).wantPage(200, "Log in")
	b.logIn("alice").wantPage(200, "Allow The app?").submit("/consent", "answer", "allow")
	if !s.decided.AuthenticatedAt.Equal(s.clock) || s.decided.Username != "alice" {
		t.Errorf("decided %+v", s.decided)
	}
}

func TestAChoiceOfAccountIsAClick(t *testing.T) {
	s := newSite(t, byHeader)
	b := s.browser().through(proxy, "carol", "").get(request("prompt", "select_account")).wantPage(200, "Log in")
	b.submit("/login").wantPage(200, "Allow The app?").submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	if !s.decided.AuthenticatedAt.IsZero() {
		t.Errorf("the time of the login is made up: %v", s.decided.AuthenticatedAt)
	}
}

func TestTheProxyProvesNoTime(t *testing.T) {
	s := newSite(t, byHeader)
	s.browser().through(proxy, "carol", "").get(request()).submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code")
	if !s.decided.AuthenticatedAt.IsZero() {
		t.Errorf("the time of the login is made up: %v", s.decided.AuthenticatedAt)
	}
}
