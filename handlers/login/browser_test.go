package login_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// browser keeps cookies, and follows redirects and pages that go on by themselves within the site.
type browser struct {
	site    *site
	cookies map[string]string
	peer    string
	header  http.Header // sent with every request
	at      string      // path and query of the page it shows
	page    *html.Node
	body    string
	answer  *http.Response
}

func (s *site) browser() *browser {
	return &browser{site: s, cookies: map[string]string{}, peer: "198.51.100.7:40000", header: http.Header{"Accept": {"text/html,*/*;q=0.8"}}}
}

func (b *browser) get(target string) *browser { return b.send(http.MethodGet, target, nil, nil) }

// send makes one request and follows redirects as long as they stay here; the last answer stays in b.
func (b *browser) send(method, target string, form url.Values, header http.Header) *browser {
	b.site.t.Helper()
	for range 10 {
		b.once(method, target, form, header)
		location := b.answer.Header.Get("Location")
		if next, ok := strings.CutPrefix(b.answer.Header.Get("Refresh"), "0; url="); ok && b.answer.StatusCode == http.StatusOK {
			location = next
		}
		if !strings.HasPrefix(location, "/") {
			return b
		}
		method, target, form, header = http.MethodGet, location, nil, nil
	}
	b.site.t.Fatalf("too many redirects, the last to %s", target)
	return b
}

// once makes one request and follows nothing.
func (b *browser) once(method, target string, form url.Values, header http.Header) *browser {
	b.site.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Host, r.RemoteAddr = "auth.example.com", b.peer
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, extra := range []http.Header{b.header, header} {
		for name, values := range extra {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.site.router.ServeHTTP(w, r)
	b.answer, b.body, b.at = w.Result(), w.Body.String(), target
	for _, cookie := range b.answer.Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
			continue
		}
		b.cookies[cookie.Name] = cookie.Value
	}
	b.page, _ = html.Parse(strings.NewReader(b.body))
	return b
}

// fields are the inputs of the page's form with this action, as the browser would send them.
func (b *browser) fields(action string) url.Values {
	b.site.t.Helper()
	for form := range elements(b.page, "form") {
		if attribute(form, "action") != base+action {
			continue
		}
		values := url.Values{}
		for input := range elements(form, "input") {
			values.Set(attribute(input, "name"), attribute(input, "value"))
		}
		return values
	}
	b.site.t.Fatalf("%s (status %d) has no form for %s:\n%s", b.at, b.answer.StatusCode, action, b.body)
	return nil
}

// submit fills in and sends the page's form with this action.
func (b *browser) submit(action string, edits ...string) *browser {
	b.site.t.Helper()
	values := b.fields(action)
	for i := 0; i < len(edits); i += 2 {
		values.Set(edits[i], edits[i+1])
	}
	return b.send(http.MethodPost, base+action, values, nil)
}

func (b *browser) logIn(name string) *browser {
	b.site.t.Helper()
	return b.submit("/login", "username", name, "password", password)
}

func (b *browser) session() string { return b.cookies["__Host-fosite_mcp_session"] }

func (b *browser) heading() (heading string) {
	for h1 := range elements(b.page, "h1") {
		heading = strings.TrimSpace(text(h1))
	}
	return heading
}

// wantPage checks status and heading of what the browser shows.
func (b *browser) wantPage(status int, heading string) *browser {
	b.site.t.Helper()
	got := b.heading()
	if b.answer.StatusCode != status || got != heading {
		b.site.t.Fatalf("%s: status %d, heading %q; want %d, %q\n%s", b.at, b.answer.StatusCode, got, status, heading, b.body)
	}
	return b
}

// wantClient checks that the browser was sent to the client with this parameter.
func (b *browser) wantClient(redirect, name, value string) *browser {
	b.site.t.Helper()
	location := b.answer.Header.Get("Location")
	u, err := url.Parse(location)
	if err != nil || b.answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, redirect+"?") || u.Query().Get(name) != value {
		b.site.t.Fatalf("%s: status %d, sent to %q; want %s with %s=%s\n%s", b.at, b.answer.StatusCode, location, redirect, name, value, b.body)
	}
	if got := u.Query().Get("state"); got != "s&1/ä" {
		b.site.t.Fatalf("state came back as %q", got)
	}
	return b
}
