package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// forms are all forms of the site, each on the page it comes from, with what proves that it did not work.
var forms = []struct {
	action string
	open   func(s *site) *browser
	fill   []string
	intact func(t *testing.T, s *site, b *browser)
}{
	{"/login", func(s *site) *browser { return s.browser().get(request()) }, []string{"username", "alice", "password", password},
		func(t *testing.T, _ *site, b *browser) {
			if b.session() != "" {
				t.Error("somebody was logged in")
			}
		}},
	{"/consent", func(s *site) *browser { return s.browser().get(request()).logIn("alice") }, []string{"answer", "allow"},
		func(t *testing.T, s *site, b *browser) { b.get(request()).wantPage(200, "Allow The app?") }},
	{"/grants/withdraw", func(s *site) *browser {
		return s.browser().get(request()).logIn("alice").submit("/consent", "answer", "allow").get(base + "/grants/withdraw?client_id=app")
	}, nil,
		func(t *testing.T, s *site, b *browser) { b.get(request()).wantClient(callback, "code", "the-code") }},
	{"/logout", func(s *site) *browser { return s.browser().get(request()).logIn("alice").get(base + "/logout") }, nil,
		func(t *testing.T, s *site, b *browser) { b.get(base+"/grants").wantPage(200, "Connected applications") }},
}

func TestFormsFromElsewhereAreRefused(t *testing.T) {
	attacks := []struct {
		name   string
		header http.Header
		change func(s *site, b *browser, form url.Values)
		status int
	}{
		{"another site, by Sec-Fetch-Site", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, nil, 403},
		{"a neighbouring site", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.example.com"}}, nil, 403},
		{"another site, in an old browser", http.Header{"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}}, nil, 403},
		{"a sandboxed frame", http.Header{"Sec-Fetch-Site": nil, "Origin": {"null"}}, nil, 403},
		{"no token", nil, func(_ *site, _ *browser, form url.Values) { form.Del("csrf") }, 403},
		{"an invented token", nil, func(_ *site, _ *browser, form url.Values) { form.Set("csrf", "guess") }, 403},
		{"another browser's token", nil, func(s *site, _ *browser, form url.Values) {
			form.Set("csrf", s.browser().get(request()).fields("/login").Get("csrf"))
		}, 403},
		{"a browser without cookies", nil, func(_ *site, b *browser, _ url.Values) { delete(b.cookies, "__Host-fosite_mcp_browser") }, 403},
		{"a token twice", nil, func(_ *site, _ *browser, form url.Values) { form.Add("csrf", "x") }, 400},
		{"as plain text", http.Header{"Content-Type": {"text/plain"}}, nil, 415},
		{"as multipart", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, nil, 415},
		{"too large", nil, func(_ *site, _ *browser, form url.Values) { form.Set("x", strings.Repeat("x", 70<<10)) }, 400},
	}
	for _, f := range forms {
		for _, attack := range attacks {
			t.Run(f.action+" "+attack.name, func(t *testing.T) {
				s := newSite(t)
				s.user("alice")
				b := f.open(s)
				form := with(b.fields(f.action), f.fill...)
				saved := map[string]string{}
				for name, value := range b.cookies {
					saved[name] = value
				}
				if attack.change != nil {
					attack.change(s, b, form)
				}
				b.once(http.MethodPost, base+f.action, form, attack.header)
				if b.answer.StatusCode != attack.status {
					t.Errorf("status %d, want %d", b.answer.StatusCode, attack.status)
				}
				for name, value := range saved {
					if _, there := b.cookies[name]; !there {
						b.cookies[name] = value
					}
				}
				f.intact(t, s, b)
			})
		}
	}
}

func TestFormsAreNotReadFromTheURL(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	form := with(b.fields("/consent"), "answer", "allow")
	b.once(http.MethodGet, base+"/consent?"+form.Encode(), nil, nil)
	if b.answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d, want 405", b.answer.StatusCode)
	}
	b.once(http.MethodPost, base+"/consent?"+form.Encode(), nil, nil)
	if b.answer.StatusCode != http.StatusForbidden {
		t.Errorf("POST with the form in the URL: status %d, want 403", b.answer.StatusCode)
	}
}

func TestLoginGivesTheBrowserANewSession(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	s.user("mallory")
	attacker := s.browser().get(request()).logIn("mallory")

	victim := s.browser()
	victim.cookies["__Host-fosite_mcp_session"] = attacker.session() // planted before the login
	victim.get(base + "/logout").submit("/logout")
	victim.cookies["__Host-fosite_mcp_session"] = "planted"
	victim.get(request()).logIn("alice").wantPage(200, "Allow The app?")
	if victim.session() == "planted" || len(victim.session()) < 40 {
		t.Errorf("session cookie %q after the login", victim.session())
	}
	attacker.cookies["__Host-fosite_mcp_session"] = "planted"
	attacker.get(request()).wantPage(200, "Log in")

	before := victim.session()
	victim.get(request("prompt", "login")).logIn("alice")
	thief := s.browser()
	thief.cookies["__Host-fosite_mcp_session"] = before
	thief.get(request()).wantPage(200, "Log in") // the old one ended with the new login
}

func TestSessionsAreStoredAsHashes(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	if _, _, err := s.store.LoginSessions().Find(t.Context(), b.session()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.log.String(), b.session()) {
		t.Error("the log holds the session cookie")
	}
	if strings.Contains(s.log.String(), password) {
		t.Error("the log holds the password")
	}
}

func TestCookiesAreKeptFromScriptsAndOtherOrigins(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request())
	cookies := b.answer.Cookies()
	b.once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password), nil)
	for _, cookie := range append(cookies, b.answer.Cookies()...) {
		if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("cookie %s", cookie)
		}
	}
}

func TestContinueLeadsNowhereElse(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	for _, target := range []string{
		"https://evil.example/", "//evil.example/", `/\evil.example`, `\\evil.example`, "javascript:alert(1)", "data:text/html,x",
		"https://auth.example.com.evil.example" + base + "/authorize?client_id=app", "//evil.example" + base + "/authorize?client_id=app",
		base + "/authorize/../../../../evil?x=1", base + "/authorize%2f..%2fevil?x=1", base + "/authorize@evil.example?x=1",
		base + "/authorizeevil?x=1", base + "/token?x=1", base + "/logout", "/" + base + "/authorize?x=1", base + "/authorize;x?y=1",
		" " + base + "/authorize?x=1", "\t//evil.example", "%2f%2fevil.example", base + "/authorize", "authorize?x=1",
		base + "/authorize?%zz=1", base + "/authorize?x=" + strings.Repeat("x", 18<<10),
	} {
		b := s.browser().get(base + "/login?continue=" + url.QueryEscape(target))
		b.once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password, "continue", target), nil)
		if location := b.answer.Header.Get("Location"); b.answer.StatusCode != http.StatusSeeOther || location != base+"/grants" {
			t.Errorf("continue=%.60q leads to %q (status %d), want the page of connected applications", target, location, b.answer.StatusCode)
		}
		b.get(base + "/logout")
		b.once(http.MethodPost, base+"/logout", with(b.fields("/logout"), "continue", target), nil)
		if location := b.answer.Header.Get("Location"); location != base+"/logout" {
			t.Errorf("logout with continue=%.60q leads to %q", target, location)
		}
	}
}

func TestContinueCannotCarryHeaders(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	target := base + "/authorize?client_id=app&x=a\r\nSet-Cookie: evil=1&redirect_uri=" + url.QueryEscape(callback)
	b := s.browser().get(base + "/login?continue=" + url.QueryEscape(target))
	b.once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password, "continue", target), nil)
	location := b.answer.Header.Get("Location")
	if !strings.HasPrefix(location, base+"/authorize?client_id=app&") || strings.ContainsAny(location, "\r\n ") || b.cookies["evil"] != "" {
		t.Errorf("Location %q", location)
	}
}

// A redirect that follows a form is held against the form-action of its page: that of the login page is this server.
// So where the login leads to the client at once, the form ends on a page that goes on by itself.
func TestTheFormOfALoginEndsBeforeTheClient(t *testing.T) {
	u := newUpstream(t)
	s := newSite(t, u.option)
	s.user("alice")
	u.now = func() time.Time { return s.clock }
	u.claims["auth_time"] = s.clock.Unix()
	for name, logIn := range map[string]func(b *browser) *browser{
		"password": func(b *browser) *browser {
			return b.once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password), nil)
		},
		"provider": func(b *browser) *browser { // whose form it was
			return b.once(http.MethodGet, base+"/login/callback?code=good&state="+b.goTo(u).Get("state"), nil, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			again := request("prompt", "login")
			b := s.browser()
			logIn(b.get(request()))
			b.get(request()).submit("/consent", "answer", "allow").wantClient(callback, "code", "the-code") // remembered
			logIn(b.get(again))
			b.once(http.MethodGet, b.answer.Header.Get("Location"), nil, nil).wantPage(200, "One moment")
			next := strings.TrimPrefix(b.answer.Header.Get("Refresh"), "0; url=")
			if next != again {
				t.Errorf("goes on to %q, want %q", next, again)
			}
			for a := range elements(b.page, "a") {
				if href := attribute(a, "href"); href != again {
					t.Errorf("the link goes to %q, want %q", href, again)
				}
			}
			b.get(next).wantClient(callback, "code", "the-code")
			b.get(next).wantPage(200, "Log in") // once means once

			b.header.Set("Accept", "*/*") // a program
			logIn(b.get(again))
			b.get(b.answer.Header.Get("Location")).wantClient(callback, "code", "the-code")
		})
	}
}

func TestAnOfferCannotBeChanged(t *testing.T) {
	s := newSite(t)
	alice := s.user("alice")
	b := s.browser().get(request()).logIn("alice")
	good := b.fields("/consent").Get("request")
	for _, changed := range []string{"", "x", good + "x", "x" + good, strings.ToUpper(good), good[:len(good)-3] + "AAA", strings.Split(good, ".")[0], b.fields("/consent").Get("csrf")} {
		b.get(request()).submit("/consent", "answer", "allow", "request", changed).wantPage(403, "That was not accepted")
	}
	b.get(request()).submit("/consent", "answer", "maybe").wantPage(400, "That did not work")
	s.wantNoConsent(alice.ID)
}
