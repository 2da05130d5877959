package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/storage/audit"
)

func TestStrangersLearnNothing(t *testing.T) {
	w := newWorld(t)
	id := w.client(`{"client_name":"Indexer"}`)
	for _, path := range []string{"/console/", "/console/clients", "/console/clients/" + id, "/console/clients/nobody", "/console/nothing"} {
		page := w.browser().get(path).want(t, http.StatusUnauthorized, "Log in")
		if strings.Contains(page.text, "Indexer") || page.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %v\n%s", path, page.Header, page.text)
		}
	}
	w.browser().send(post("/console/logout", url.Values{})).want(t, http.StatusUnauthorized, "Nothing was changed")
}

func TestTheLoginLeadsToThePageThatWasAskedFor(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.get("/console/clients?status=active").want(t, http.StatusUnauthorized)
	if to := b.submit("/console/login", "key", "  "+w.key+"\n").Header.Get("Location"); to != "/console/clients?status=active" {
		t.Errorf("the login leads to %q", to)
	}
	b.get("/console/").want(t, http.StatusOK, "<strong>admin</strong>")
	if events := w.events("admin.logged_in"); len(events) != 1 || events[0].Actor != "admin" || events[0].IP == "" {
		t.Errorf("on record: %+v", events)
	}
	for _, elsewhere := range []string{"https://evil.example/", "//evil.example/console/", `/\evil.example/console/`, "/admin/v1/keys", "/console/login", "", "%", "/console/../admin/v1/keys", "/console/%2e%2e//evil.example", "/console/clients?q=" + strings.Repeat("x", 3000)} {
		b := w.browser()
		b.get("/console/login")
		if to := b.submit("/console/login", "key", w.key, "continue", elsewhere).Header.Get("Location"); to != "/console/" {
			t.Errorf("%q: the login leads to %q", elsewhere, to)
		}
	}
}

// A wrong key counts, and is on record, as it does at the API. A right one is let in at any time.
func TestWrongKeysAreLimited(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.get("/console/login")
	wrong := "mcp_ak_wrong-wrong-wrong"
	for range 3 {
		b.submit("/console/login", "key", wrong).want(t, http.StatusUnauthorized, "unknown, has expired or was revoked")
	}
	page := b.submit("/console/login", "key", wrong).want(t, http.StatusTooManyRequests, "too many")
	if page.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", page.Header)
	}
	if events := w.events("admin.login_failed"); len(events) == 0 {
		t.Error("nothing is on record")
	}
	for said, where := range map[string]string{page.text: "the page", w.log.String(): "the log"} {
		if strings.Contains(said, wrong) {
			t.Errorf("%s shows the key", where)
		}
	}
	b.submit("/console/login", "key", w.key).want(t, http.StatusSeeOther)
}

func TestASessionEnds(t *testing.T) {
	for name, end := range map[string]func(w *world, b *browser){
		"by logging out": func(w *world, b *browser) {
			b.get("/console/")
			b.submit("/console/logout").want(w.t, http.StatusOK, "You are logged out")
		},
		"after 30 idle minutes": func(w *world, _ *browser) { w.clock.advance(30 * time.Minute) },
		"after 8 hours": func(w *world, b *browser) {
			for range 8 * 3 {
				w.clock.advance(20 * time.Minute)
				b.get("/console/")
			}
		},
		"with its key": func(w *world, _ *browser) {
			if err := w.store.AdminKeys().Revoke(w.t.Context(), "ops"); err != nil {
				w.t.Error(err)
			}
		},
		"when its key expires": func(w *world, b *browser) {
			for range 3 {
				w.clock.advance(20 * time.Minute)
				b.get("/console/")
			}
		},
		"when a backup is restored": func(w *world, _ *browser) {
			if err := w.store.EndAfterRestore(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key := audit.AdminKey{Name: "ops", Role: audit.RoleRead}
			if name == "when its key expires" {
				key.ExpiresAt = w.clock.Now().Add(time.Hour)
			}
			b := w.loggedIn(w.newKey(key))
			before := b.cookies["fosite_mcp_console"]
			b.get("/console/").want(t, http.StatusOK)
			w.clock.advance(2 * time.Minute) // and the page notes that it was seen
			b.get("/console/").want(t, http.StatusOK)
			end(w, b)
			b.cookies["fosite_mcp_console"] = before
			b.get("/console/").want(t, http.StatusUnauthorized, "Log in")
		})
	}
}

// Whoever logs in gets a new cookie. One that was there before is worth nothing.
func TestEachLoginHasATokenOfItsOwn(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	first := b.cookies["fosite_mcp_console"]
	b.get("/console/login")
	cookie := b.submit("/console/login", "key", w.key).Cookies()[0]
	if cookie.Value == first || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/console" || cookie.MaxAge != 0 {
		t.Errorf("cookie %v", cookie)
	}
	b.cookies["fosite_mcp_console"] = first
	b.get("/console/").want(t, http.StatusUnauthorized)
}

// A proxy may end TLS in front of the listener. The browser's cookie is then one for https alone.
func TestTheCookieIsForHTTPSWhereTheBrowserSeesIt(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.get("https://example.com/console/login")
	b.send(from(from(post("https://example.com/console/login", b.form("/console/login", "key", w.key)), "Origin", "https://example.com"), "Sec-Fetch-Site", "same-origin")).want(t, http.StatusSeeOther)
	cookie := b.page.Cookies()[0]
	if cookie.Name != "__Host-fosite_mcp_console" || !cookie.Secure || cookie.Path != "/" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %v", cookie)
	}
	b.get("/console/").want(t, http.StatusOK)
	b.submit("/console/logout").want(t, http.StatusOK)
	if b.cookies["__Host-fosite_mcp_console"] != "" {
		t.Error("the cookie outlives logging out")
	}
}

// The login of a person opens nothing here, and that of an administrator logs nobody in there.
func TestOtherSessionsAreNoneOfTheConsole(t *testing.T) {
	w := newWorld(t)
	data := []byte(`{"key_id":"` + w.keyID("admin") + `","sub":"u1","method":"local"}`)
	if err := w.store.LoginSessions().Create(t.Context(), "token-of-a-person", "u1", "alice", "oidc", data, w.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.cookies["fosite_mcp_console"] = "token-of-a-person"
	b.get("/console/").want(t, http.StatusUnauthorized)

	b = w.loggedIn(w.key)
	for _, token := range []string{b.cookies["fosite_mcp_console"], "console" + b.cookies["fosite_mcp_console"]} {
		if _, _, err := w.store.LoginSessions().Find(t.Context(), token); err == nil {
			t.Errorf("the console's session is one of a person, by %q", token)
		}
	}
}

func (w *world) keyID(name string) string {
	key, err := w.store.AdminKeys().Named(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return key.ID
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	b.get("/console/")
	form := b.form("/console/logout")
	other := w.loggedIn(w.key)
	other.get("/console/")
	for name, send := range map[string]func() *http.Request{
		"without a token":                func() *http.Request { return post("/console/logout", url.Values{}) },
		"with the token of a session":    func() *http.Request { return post("/console/logout", other.form("/console/logout")) },
		"from another site":              func() *http.Request { return from(post("/console/logout", form), "Sec-Fetch-Site", "cross-site") },
		"from another host of this site": func() *http.Request { return from(post("/console/logout", form), "Sec-Fetch-Site", "same-site") },
		"from another origin":            func() *http.Request { return from(post("/console/logout", form), "Origin", "http://evil.example") },
		"from a sandbox":                 func() *http.Request { return from(post("/console/logout", form), "Origin", "null") },
	} {
		b.send(send()).want(t, http.StatusForbidden, "Nothing was changed")
		b.get("/console/")
		if b.page.StatusCode != http.StatusOK {
			t.Errorf("%s: the form was accepted", name)
		}
	}
	b.send(from(post("/console/logout", form), "Sec-Fetch-Site", "same-origin")).want(t, http.StatusOK)

	// A login that somebody else has begun would put a person's work on record under another name.
	stranger := w.browser()
	stranger.get("/console/login")
	login := stranger.form("/console/login", "key", w.key)
	w.browser().send(post("/console/login", login)).want(t, http.StatusForbidden)
	stranger.send(from(post("/console/login", login), "Origin", "http://evil.example")).want(t, http.StatusForbidden)
	stranger.send(post("/console/login", login)).want(t, http.StatusSeeOther)
}

func from(r *http.Request, header, value string) *http.Request {
	r.Header.Set(header, value)
	return r
}

// An outage is told as one: nobody is logged out, and nothing is missing.
func TestAnOutageIsTold(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	b.get("/console/")
	logout := post("/console/logout", b.form("/console/logout"))
	w.breakDatabase()
	for name, r := range map[string]*http.Request{
		"a page": httptest.NewRequest(http.MethodGet, "/console/clients", nil), "nothing": httptest.NewRequest(http.MethodGet, "/console/nothing", nil), "logging out": logout,
	} {
		page := b.send(r).want(t, http.StatusServiceUnavailable, "Not available now")
		if page.Header.Get("Retry-After") == "" || len(page.Cookies()) > 0 {
			t.Errorf("%s: %v", name, page.Header)
		}
	}
	stranger := w.browser()
	stranger.get("/console/login").want(t, http.StatusOK)
	stranger.submit("/console/login", "key", w.key).want(t, http.StatusServiceUnavailable)
	if strings.Contains(w.log.String(), w.key) {
		t.Error("the log holds the key")
	}
}

func TestPagesAreNeitherKeptNorFramed(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	for _, path := range []string{"/console/", "/console/clients", "/console/login", "/console/nothing"} {
		header := b.get(path).Header
		for name, want := range map[string]string{
			"Cache-Control":           "no-store",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// What a key may not do is neither shown nor done.
func TestAKeyForSingleClientsSeesThese(t *testing.T) {
	w := newWorld(t)
	mine, theirs := w.client(`{"client_name":"Mine"}`), w.client(`{"client_name":"Theirs"}`)
	b := w.loggedIn(w.newKey(audit.AdminKey{Name: "team", Role: audit.RoleClients, Clients: []string{mine}}))
	page := b.get("/console/clients").want(t, http.StatusOK, "Mine")
	if strings.Contains(page.text, "Theirs") {
		t.Error("another client is listed")
	}
	b.get("/console/clients/"+mine).want(t, http.StatusOK, "Mine")
	b.get("/console/clients/"+theirs).want(t, http.StatusNotFound)
	if page := b.get("/console/").want(t, http.StatusOK); strings.Contains(page.text, "Admin keys") {
		t.Error("admin keys are offered")
	}
}
