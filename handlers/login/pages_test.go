package login_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/login"

	"github.com/ory/fosite"
	"golang.org/x/net/html"
)

// namedClient is a client with a name of its own choice.
type namedClient struct {
	fosite.DefaultClient
	name    string
	dynamic bool
}

func (c *namedClient) GetName() string               { return c.name }
func (c *namedClient) IsDynamicallyRegistered() bool { return c.dynamic }

// everyPage visits each page once, with the data that makes it fullest.
func everyPage(t *testing.T, visit func(t *testing.T, b *browser)) {
	u := newUpstream(t)
	s := newSite(t, u.option, byHeader)
	s.user("alice")
	b := s.browser()
	show := func(name string, b *browser) { t.Run(name, func(t *testing.T) { visit(t, b) }) }
	show("login", b.get(request()))
	show("login again", b.get(request("prompt", "login")))
	show("login through the proxy", s.browser().through(proxy, "carol", "").get(request("prompt", "select_account")))
	show("wrong password", b.submit("/login", "username", "alice", "password", "wrong"))
	show("consent", b.logIn("alice"))
	s.asked = handlers.AuthorizationRequest{Offline: true, Client: &namedClient{fosite.DefaultClient{ID: "dyn", Public: true}, "Dynamic", true}}
	show("consent of a dynamic client", b.get(request("redirect_uri", "http://127.0.0.1:1/", "scope", "mcp:search mcp:other")))
	show("consent to a custom scheme", b.get(request("redirect_uri", "cursor://x/y", "scope", "")))
	show("no grants", b.get(base+"/grants"))
	b.get(request()).submit("/consent", "answer", "allow")
	b.get(request("prompt", "login")).once(http.MethodPost, base+"/login", with(b.fields("/login"), "username", "alice", "password", password), nil)
	show("going on", b.once(http.MethodGet, b.answer.Header.Get("Location"), nil, nil))
	show("grants", b.get(base+"/grants"))
	show("withdraw", b.get(base+"/grants/withdraw?client_id=dyn"))
	show("withdrawn", b.submit("/grants/withdraw"))
	show("log out", b.get(base+"/logout"))
	show("logged out", b.submit("/logout"))
	show("error", b.get(request("client_id", "unknown")))
	show("no page", b.get(base+"/consent"))
}

func TestEveryPageIsAccessible(t *testing.T) {
	everyPage(t, func(t *testing.T, b *browser) {
		for root := range elements(b.page, "html") {
			if attribute(root, "lang") != "en" {
				t.Error("no language")
			}
		}
		for _, one := range []string{"title", "h1", "main"} {
			var found []string
			for element := range elements(b.page, one) {
				found = append(found, strings.TrimSpace(text(element)))
			}
			if len(found) != 1 || found[0] == "" {
				t.Errorf("<%s>: %q, want exactly one", one, found)
			}
		}
		ids, labels := map[string]int{}, map[string]bool{}
		for n := range b.page.Descendants() {
			if id := attribute(n, "id"); id != "" {
				ids[id]++
			}
			if n.Data == "label" {
				labels[attribute(n, "for")] = strings.TrimSpace(text(n)) != ""
			}
		}
		for id, count := range ids {
			if count > 1 {
				t.Errorf("id %q is there %d times", id, count)
			}
		}
		for input := range elements(b.page, "input") {
			if attribute(input, "type") != "hidden" && !labels[attribute(input, "id")] {
				t.Errorf("input %q has no label", attribute(input, "name"))
			}
			if described := attribute(input, "aria-describedby"); described != "" && ids[described] != 1 {
				t.Errorf("input %q is described by %q, which is not there", attribute(input, "name"), described)
			}
			if name := attribute(input, "name"); (name == "username" || name == "password") && attribute(input, "autocomplete") == "" {
				t.Errorf("input %q has no autocomplete", name)
			}
		}
		names := map[string]bool{}
		for _, kind := range []string{"button", "a"} {
			for element := range elements(b.page, kind) {
				name := strings.TrimSpace(text(element))
				if name == "" || kind == "a" && names[name] {
					t.Errorf("<%s> has the name %q", kind, name)
				}
				names[name] = true
			}
		}
		if b.answer.StatusCode >= 400 {
			alerts := 0
			for n := range b.page.Descendants() {
				if attribute(n, "role") == "alert" && strings.TrimSpace(text(n)) != "" {
					alerts++
				}
			}
			for title := range elements(b.page, "title") {
				if alerts != 1 || !strings.HasPrefix(text(title), "Error: ") {
					t.Errorf("%d alerts, title %q; want one, and a title that says so", alerts, text(title))
				}
			}
		}
	})
}

func TestEveryPageIsShutOff(t *testing.T) {
	everyPage(t, func(t *testing.T, b *browser) {
		header := b.answer.Header
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		var style string
		for element := range elements(b.page, "style") {
			style = text(element)
		}
		hash := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
		if !strings.HasPrefix(b.heading(), "Allow ") { // whose form leads to the client, and on from there
			want += "; form-action 'self'"
		}
		if policy := header.Get("Content-Security-Policy"); policy != want {
			t.Errorf("policy %q, want %q", policy, want)
		}
		for n := range b.page.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "script" || n.Data == "iframe" || n.Data == "link" {
				t.Errorf("there is a <%s>", n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
					t.Errorf("<%s> has %s", n.Data, a.Key)
				}
				if (a.Key == "href" || a.Key == "action") && !strings.HasPrefix(a.Val, base+"/") {
					t.Errorf("<%s %s=%q> leads away", n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "form" && (attribute(n, "method") != "post") {
				t.Errorf("form %s is not sent by POST", attribute(n, "action"))
			}
		}
	})
}

func TestWhatStrangersSayIsShownAsText(t *testing.T) {
	tests := []struct{ name, shown string }{
		{`<script>alert(1)</script>`, `<script>alert(1)</script>`},
		{`"><img src=x onerror=alert(1)>`, `"><img src=x onerror=alert(1)>`},
		{"Claude\u202e\u2066evil\u200b\u00ad\u0000\x1b[31m", "Claudeevil[31m"},
		{"  two\n\n lines\t ", "two lines"},
		{strings.Repeat("a", 500), strings.Repeat("a", 80) + "…"},
		{"Z\u0300\u0301\u0302\u0303\u0304algo", "Z\u0300\u0301algo"},
		{"\u2800\u3164", "evil"}, // nothing to see: the id is shown
		{"{{.CSRF}}", "{{.CSRF}}"},
	}
	for _, test := range tests {
		s := newSite(t)
		s.user("alice")
		s.asked.Client = &namedClient{fosite.DefaultClient{ID: "evil", Public: true}, test.name, false}
		b := s.browser().get(request()).logIn("alice").wantPage(200, "Allow "+test.shown+"?")
		b.submit("/consent", "answer", "allow").get(base + "/grants")
		for h2 := range elements(b.page, "h2") {
			if text(h2) != test.shown {
				t.Errorf("connected applications show %q, want %q", text(h2), test.shown)
			}
		}
		b.get(base+"/grants/withdraw?client_id=evil").wantPage(200, "Withdraw the access of "+test.shown+"?").submit("/grants/withdraw")
		if !strings.Contains(text(b.page), test.shown+" has no access any more") {
			t.Errorf("%q: the page does not say whose access was withdrawn", test.name)
		}
	}
}

func TestTheConsentPageSaysWhoAndWhere(t *testing.T) {
	const checked, device = "Nobody has checked this application", "own device"
	tests := []struct {
		name     string
		redirect string
		dynamic  bool
		public   bool
		says     []string
		not      []string
	}{
		{"a registered site", callback, false, false, []string{"app.example.com"}, []string{checked, device}},
		{"a dynamic client", callback, true, true, []string{checked, "app.example.com"}, []string{device}},
		{"a loopback program", "http://127.0.0.1:33418/x", false, true, []string{"127.0.0.1:33418", device, "any program there"}, []string{checked}},
		{"a loopback program with a secret", "http://localhost:33418/x", false, false, []string{"localhost:33418", device}, []string{checked, "any program there"}},
		{"a custom scheme", "cursor://anysphere/x", true, true, []string{"cursor:", "any program there", checked}, []string{"anysphere"}},
		{"a host that looks like another", "https://аpple.com/x", false, false, []string{"xn--pple-43d.com"}, []string{"аpple.com"}},
		{"a host behind a user name", "https://bank.example.com@evil.example/x", false, false, []string{"evil.example"}, []string{"bank.example.com"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			s.user("alice")
			s.asked.Client = &namedClient{fosite.DefaultClient{ID: "the-id", Public: test.public}, "The name", test.dynamic}
			b := s.browser().get(request("redirect_uri", test.redirect)).logIn("alice").wantPage(200, "Allow The name?")
			shown := text(b.page)
			for _, want := range append(test.says, "the-id", "alice", "Search the documentation and read its pages", "Documentation", resource) {
				if !strings.Contains(shown, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
			for _, unwanted := range test.not {
				if strings.Contains(shown, unwanted) {
					t.Errorf("the page says %q", unwanted)
				}
			}
		})
	}
}

func TestATeamCanReplaceTemplates(t *testing.T) {
	s := newSite(t, func(o *login.Options) {
		o.Templates = fstest.MapFS{
			"login.html": {Data: []byte(`{{define "title"}}Ours{{end}}{{define "main"}}<h1>Welcome to us</h1>{{end}}`)},
			"style.css":  {Data: []byte("h1 { color: teal }")},
		}
	})
	b := s.browser().get(request()).wantPage(200, "Welcome to us")
	if !strings.Contains(b.body, "h1 { color: teal }") {
		t.Error("the style is not ours")
	}
	b.get(base+"/logout").wantPage(200, "You are logged out")
}

func TestTemplatesThatDoNotFitAreFoundAtStart(t *testing.T) {
	for name, content := range map[string]string{
		"login.html":   `{{define "title"}}x{{end}}{{define "main"}}{{.NoSuchField}}{{end}}`,
		"consent.html": `{{define "title"}}x{{end}}{{define "main"}}{{range .Scopes}}{{.Nothing}}{{end}}{{end}}`,
		"error.html":   `{{define "title"}}x{{end}}{{define "main"}}{{`,
		"grants.html":  `no blocks`,
		"style.css":    `</style><script>`,
	} {
		s := newSite(t)
		options := s.login.Options
		options.Templates = fstest.MapFS{name: {Data: []byte(content)}}
		if _, err := login.New(options); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, ".html")) {
			t.Errorf("%s: error %v, want one that names it", name, err)
		}
	}
}

func TestErrorPageTellsNothingThatIsNotForPeople(t *testing.T) {
	s := newSite(t)
	tests := []struct {
		status int
		err    *fosite.RFC6749Error
		says   []string
		not    string
	}{
		{400, fosite.ErrInvalidRequest.WithHint("The <b>redirect_uri</b> is not registered.").WithDebug("internal detail"), []string{"invalid_request", "The <b>redirect_uri</b> is not registered."}, "internal detail"},
		{400, nil, []string{"Start again"}, "nil"},
		{503, fosite.ErrServerError, []string{"Try again in a few seconds", "server_error"}, "developers"},
		{500, nil, []string{"The server made a mistake"}, "nil"},
		{418, nil, []string{"That did not work"}, "nil"},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		s.login.ErrorPage(w, httptest.NewRequest(http.MethodGet, base+"/authorize", nil), test.status, test.err)
		page, _ := html.Parse(strings.NewReader(w.Body.String()))
		if w.Code != test.status {
			t.Errorf("status %d, want %d", w.Code, test.status)
		}
		for _, want := range test.says {
			if !strings.Contains(text(page), want) {
				t.Errorf("%d: the page does not say %q", test.status, want)
			}
		}
		if strings.Contains(text(page), test.not) {
			t.Errorf("%d: the page says %q", test.status, test.not)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	tests := []struct {
		change option
		want   string
	}{
		{func(o *login.Options) { o.Origin = "http://auth.example.com" }, "https, or http on loopback"},
		{func(o *login.Options) { o.Origin = origin + "/" }, "Origin must be scheme and host"},
		{func(o *login.Options) { o.BasePath = "//evil.example" }, "BasePath must begin with one slash"},
		{func(o *login.Options) { o.Key = []byte("short") }, "32 bytes"},
		{func(o *login.Options) { o.Sessions = nil }, "Sessions is missing"},
		{func(o *login.Options) { o.Consents = nil }, "Consents is missing"},
		{func(o *login.Options) { o.Local = nil }, "at least one of"},
		{func(o *login.Options) { o.Local = &login.Local{} }, "Local needs"},
		{func(o *login.Options) { o.OIDC = &login.OIDC{} }, "OIDC needs"},
		{func(o *login.Options) { o.Header = &login.Header{Name: "X-User"} }, "Header needs"},
	}
	good := newSite(t).login.Options
	for _, test := range tests {
		options := good
		test.change(&options)
		if _, err := login.New(options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestOnLoopbackCookiesWorkWithoutTLS(t *testing.T) {
	s := newSite(t, func(o *login.Options) { o.Origin = "http://127.0.0.1:8080" })
	cookies := s.browser().get(request()).answer.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "fosite_mcp_browser" || cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].Path != base {
		t.Errorf("cookies %v", cookies)
	}
}

var luminance = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})`)

// WCAG 2.2 §1.4.3 and §1.4.11: text at 4.5 to 1, borders of fields at 3 to 1.
func TestColoursHaveContrast(t *testing.T) {
	s := newSite(t)
	b := s.browser().get(request())
	light, dark, _ := strings.Cut(b.body, "@media (prefers-color-scheme: dark)")
	for name, css := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, match := range luminance.FindAllStringSubmatch(css, -1) {
			colours[match[1]] = match[2]
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"text", "card", 4.5}, {"text", "page", 4.5}, {"muted", "card", 4.5}, {"accent", "card", 4.5}, {"on-accent", "accent", 4.5}, {"on-danger", "danger", 4.5},
			{"problem-text", "problem", 4.5}, {"warning-text", "warning", 4.5}, {"done-text", "done", 4.5}, {"field", "card", 3}, {"accent", "page", 3}, {"danger", "card", 3},
		} {
			if got := contrast(t, colours[pair.front], colours[pair.back]); got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, pair.front, pair.back, got, pair.least)
			}
		}
	}
}
