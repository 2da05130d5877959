package handlers_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// RFC 6749 §4.1.2 and RFC 9207 §2.
func TestAnAllowedRequestSendsTheBrowserBackWithACode(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	a := f.authorize()
	values := a.sentBack(t, callback)
	if !strings.HasPrefix(values.Get("code"), "mcp_ac_") {
		t.Errorf("code %q", values.Get("code"))
	}
	values.Del("code")
	if diff := cmp.Diff(url.Values{"state": {"s-1234567"}, "iss": {issuer}}, values); diff != "" {
		t.Errorf("other parameters (-want +got):\n%s", diff)
	}
	if a.text != "" {
		t.Errorf("body %q", a.text)
	}
}

func TestEveryAnswerOfTheAuthorizationEndpointIsProtected(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	for name, a := range map[string]answer{
		"code":       f.authorize(),
		"error":      f.authorize("response_type", "token"),
		"error page": f.authorize("client_id", "nobody"),
	} {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", name, policy)
		}
		if allowed := a.header.Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("%s: scripts of %q may read it", name, allowed)
		}
	}
}

// RFC 8252 §7.
func TestAnswersArriveAtProgramsOnTheDevice(t *testing.T) {
	f := newFixture(t)
	for i, c := range []struct{ registered, requested string }{
		{"com.example.app:callback", "com.example.app:callback"},
		{"com.example.app:/callback", "com.example.app:/callback"},
		{"cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback"},
		{"http://127.0.0.1/callback", "http://127.0.0.1:53682/callback"},
		{"http://[::1]:1234/callback", "http://[::1]:53682/callback"},
		{"http://localhost:1234/callback", "http://localhost:53682/callback"},
	} {
		id := fmt.Sprintf("native%d", i)
		f.app(id, func(found *client.Client) { found.RedirectURIs = []string{c.registered} })
		if values := f.authorize("client_id", id, "redirect_uri", c.requested).sentBack(t, c.requested); !values.Has("code") {
			t.Errorf("%s: got %v", c.requested, values)
		}
	}
}

// Rows from before the rule: the person is told, and nothing is sent there.
func TestARegisteredRedirectURIThatBreaksTheRuleIsNotUsed(t *testing.T) {
	f := newFixture(t)
	for i, uri := range []string{"https://a.example/x/../cb", "http://127.0.0.2/cb", "http://127.0.0.1:0/cb", "ssh://host/cb", "ms-msdt://host/cb", "tel:123"} {
		id := fmt.Sprintf("old%d", i)
		f.app(id, func(c *client.Client) { c.RedirectURIs = []string{uri} })
		a := f.authorize("client_id", id, "redirect_uri", uri)
		if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || !strings.Contains(a.text, "is registered but must") {
			t.Errorf("%s: %d, Location %q, %s", uri, a.status, a.header.Get("Location"), a.text)
		}
	}
}

// RFC 6749 §4.1.2.1, RFC 7636 §4.4.1, RFC 8707 §2, RFC 9101 §7, OpenID Connect Core §3.1.2.6. Nobody is asked to
// log in for a request that will fail.
func TestErrorsThatTheClientHears(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("machine", func(c *client.Client) { c.GrantTypes = []string{"client_credentials"} })
	f.app("implicit", func(c *client.Client) { c.ResponseTypes = []string{"token"} })
	f.app("scopeless", func(c *client.Client) { c.Scope = nil })
	f.decide = func(http.ResponseWriter) (*handlers.Decision, error) {
		t.Error("somebody was asked to log in")
		return nil, nil
	}
	for name, c := range map[string]struct {
		changes []string
		code    string
	}{
		"no response_type":               {[]string{"response_type", "-"}, "invalid_request"},
		"empty response_type":            {[]string{"response_type", ""}, "invalid_request"},
		"implicit":                       {[]string{"response_type", "token"}, "unsupported_response_type"},
		"hybrid":                         {[]string{"response_type", "code token"}, "unsupported_response_type"},
		"code twice in one":              {[]string{"response_type", "code code"}, "unsupported_response_type"},
		"response_type in capitals":      {[]string{"response_type", "CODE"}, "unsupported_response_type"},
		"fragment":                       {[]string{"response_mode", "fragment"}, "invalid_request"},
		"form_post":                      {[]string{"response_mode", "form_post"}, "invalid_request"},
		"no challenge":                   {[]string{"code_challenge", "-"}, "invalid_request"},
		"no challenge and no method":     {[]string{"code_challenge", "-", "code_challenge_method", "-"}, "invalid_request"},
		"no method, which means plain":   {[]string{"code_challenge_method", "-"}, "invalid_request"},
		"plain":                          {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"method in lower case":           {[]string{"code_challenge_method", "s256"}, "invalid_request"},
		"challenge of one character":     {[]string{"code_challenge", "x"}, "invalid_request"},
		"challenge of 42 characters":     {[]string{"code_challenge", challenge[1:]}, "invalid_request"},
		"challenge of 44 characters":     {[]string{"code_challenge", challenge + "A"}, "invalid_request"},
		"padded challenge":               {[]string{"code_challenge", challenge + "="}, "invalid_request"},
		"challenge in plain base64":      {[]string{"code_challenge", strings.Replace(challenge, "-", "+", 1)}, "invalid_request"},
		"challenge with a line feed":     {[]string{"code_challenge", challenge[:42] + "\n"}, "invalid_request"},
		"challenge with trailing bits":   {[]string{"code_challenge", challenge[:42] + "N"}, "invalid_request"},
		"request object":                 {[]string{"request", "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
		"request object, openid":         {[]string{"request", "eyJhbGciOiJub25lIn0.e30.", "scope", "openid"}, "request_not_supported"},
		"request_uri":                    {[]string{"request_uri", "https://evil.example.com/r"}, "request_uri_not_supported"},
		"request_uri of a pushed one":    {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, "request_uri_not_supported"},
		"registration":                   {[]string{"registration", "{}"}, "registration_not_supported"},
		"unknown prompt":                 {[]string{"prompt", "admin"}, "invalid_request"},
		"prompt none and login":          {[]string{"prompt", "none login"}, "invalid_request"},
		"prompt with a script":           {[]string{"prompt", `"><script>`}, "invalid_request"},
		"max_age in words":               {[]string{"max_age", "soon"}, "invalid_request"},
		"negative max_age":               {[]string{"max_age", "-1"}, "invalid_request"},
		"max_age with a sign":            {[]string{"max_age", "+1"}, "invalid_request"},
		"max_age in parts of a second":   {[]string{"max_age", "1.5"}, "invalid_request"},
		"max_age beyond all bounds":      {[]string{"max_age", "99999999999999999999"}, "invalid_request"},
		"unknown resource":               {[]string{"resource", "https://evil.example.com/"}, "invalid_target"},
		"resource of another client":     {[]string{"resource", origin}, "invalid_target"},
		"resource below a known one":     {[]string{"resource", docs + "/../admin"}, "invalid_target"},
		"foreign audience":               {[]string{"audience", origin}, "invalid_target"},
		"client without the grant":       {[]string{"client_id", "machine"}, "unauthorized_client"},
		"client without the type":        {[]string{"client_id", "implicit"}, "unauthorized_client"},
		"client without any scope":       {[]string{"client_id", "scopeless", "scope", "mcp:search"}, "invalid_scope"},
		"state of more than 4 KiB":       {[]string{"state", strings.Repeat("x", 4097)}, "invalid_request"},
		"quotes and other odd letters":   {[]string{"resource", "\"\\\r\nSet-Cookie: ü"}, "invalid_target"},
		"resource that is not a URL":     {[]string{"resource", "%"}, "invalid_target"},
		"resource with another user":     {[]string{"resource", "https://u:p@docs.example.com/authed/mcp"}, "invalid_target"},
		"resource with a fragment":       {[]string{"resource", docs + "#x"}, "invalid_target"},
		"resource with a slash too many": {[]string{"resource", docs + "/"}, "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			values := f.authorize(c.changes...).sentBack(t, callback)
			wantState := "s-1234567"
			if slices.Contains(c.changes, "state") {
				wantState = ""
			}
			if values.Get("error") != c.code || values.Get("iss") != issuer || values.Get("state") != wantState || values.Has("code") {
				t.Errorf("got %v, want %s with iss and state", values, c.code)
			}
			if strings.ContainsFunc(values.Get("error_description"), func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
				t.Errorf("error_description %q has characters that RFC 6749 does not allow", values.Get("error_description"))
			}
		})
	}
	for _, name := range []string{"state", "scope", "response_type", "code_challenge", "code_challenge_method", "prompt", "response_mode", "nonce"} {
		t.Run(name+" twice", func(t *testing.T) {
			query := authorizeQuery()
			query[name] = append(query[name], "one", "two")
			values := f.visit(query.Encode()).sentBack(t, callback)
			if values.Get("error") != "invalid_request" || values.Get("iss") != issuer || name == "state" && values.Has("state") {
				t.Errorf("got %v, want invalid_request with iss, and no state that is not sure", values)
			}
		})
	}
}

// RFC 6749 §4.1.2.1: never redirect to a URI that is not known to be the client's.
func TestErrorsThatOnlyThePersonSees(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("two", func(c *client.Client) { c.RedirectURIs = []string{callback, webCallback} })
	f.app("none", func(c *client.Client) { c.RedirectURIs = nil })
	f.app("off", func(c *client.Client) { c.Status = client.Disabled })
	f.app("script", func(c *client.Client) {
		c.RedirectURIs = []string{"javascript:alert(1)//x", "data:text/html,x", "http://evil.example.com/callback", "https://app.example.com/callback#x"}
	})
	for name, query := range map[string]string{
		"nothing":                     "",
		"no client":                   authorizeQuery("client_id", "-").Encode(),
		"unknown client":              authorizeQuery("client_id", "nobody").Encode(),
		"disabled client":             authorizeQuery("client_id", "off").Encode(),
		"client id with NUL":          authorizeQuery("client_id", "app\x00").Encode(),
		"client id of invalid UTF-8":  authorizeQuery("client_id", "\xff\xfe").Encode(),
		"client id with a script":     authorizeQuery("client_id", "<script>alert(1)</script>").Encode(),
		"two client ids":              authorizeQuery().Encode() + "&client_id=app",
		"two redirect URIs":           authorizeQuery().Encode() + "&redirect_uri=" + url.QueryEscape(callback),
		"another, then a good one":    "redirect_uri=https://evil.example.com/&" + authorizeQuery().Encode(),
		"unregistered":                authorizeQuery("redirect_uri", "https://evil.example.com/").Encode(),
		"unregistered, other errors":  authorizeQuery("redirect_uri", "https://evil.example.com/", "response_type", "token", "prompt", "x").Encode(),
		"unregistered, request_uri":   authorizeQuery("redirect_uri", "https://evil.example.com/", "request_uri", "https://evil.example.com/r").Encode(),
		"in a request object":         authorizeQuery("redirect_uri", "-", "client_id", "two", "scope", "openid", "request", "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwuZXhhbXBsZS5jb20vIn0.").Encode(),
		"left out, of two":            authorizeQuery("client_id", "two", "redirect_uri", "-").Encode(),
		"left out, of none":           authorizeQuery("client_id", "none", "redirect_uri", "-").Encode(),
		"registered, but javascript":  authorizeQuery("client_id", "script", "redirect_uri", "javascript:alert(1)//x").Encode(),
		"registered, but data":        authorizeQuery("client_id", "script", "redirect_uri", "data:text/html,x").Encode(),
		"registered, but plain http":  authorizeQuery("client_id", "script", "redirect_uri", "http://evil.example.com/callback").Encode(),
		"registered, with a fragment": authorizeQuery("client_id", "script", "redirect_uri", "https://app.example.com/callback#x").Encode(),
		"a broken escape":             authorizeQuery().Encode() + "&x=%zz",
		"a semicolon":                 authorizeQuery().Encode() + "&x;y",
	} {
		t.Run(name, func(t *testing.T) {
			a := f.visit(query)
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
				t.Fatalf("got %d, Location %q, want a page with 400", a.status, a.header.Get("Location"))
			}
			if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.text, "<h1>This login cannot go on</h1>") {
				t.Errorf("not a readable page: %s", a.text)
			}
			if strings.Contains(a.text, "<script") || strings.Contains(a.text, "evil.example.com") {
				t.Errorf("the page repeats what an attacker wrote: %s", a.text)
			}
		})
	}
}

func TestAStateIsOptionalAndComesBackAsItWas(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	for name, state := range map[string]string{
		"none": "-", "empty": "", "one character": "x", "a space": "a b", "reserved characters": "&=#?/+%25;,:@",
		"not ASCII": "žluťoučký", "a line break": "a\r\nLocation: https://evil.example.com", "4 KiB": strings.Repeat("x", 4096),
	} {
		t.Run(name, func(t *testing.T) {
			values := f.authorize("state", state).sentBack(t, callback)
			if state == "-" || state == "" {
				if values.Has("state") {
					t.Errorf("state %q appeared from nowhere", values.Get("state"))
				}
			} else if got := values["state"]; len(got) != 1 || got[0] != state {
				t.Errorf("state %q came back as %q", state, got)
			}
			if !values.Has("code") {
				t.Errorf("no code: %v", values)
			}
		})
	}
}

func TestARegisteredQueryStaysInTheRedirect(t *testing.T) {
	f := newFixture(t)
	const registered = "https://app.example.com/callback?tenant=%2Fa&b"
	f.app("app", func(c *client.Client) { c.RedirectURIs = []string{registered} })
	location := f.authorize("redirect_uri", registered).header.Get("Location")
	if !strings.HasPrefix(location, registered+"&code=") {
		t.Errorf("Location %q does not begin with %q, byte by byte", location, registered)
	}
}

// Failure of clients that ask for scopes which do not exist here, and of those that ask for nothing.
func TestLoginIsAskedForWhatTheClientMayHave(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	f.app("once", func(c *client.Client) { c.GrantTypes = []string{"authorization_code"} })
	for name, c := range map[string]struct {
		changes []string
		want    handlers.AuthorizationRequest
	}{
		"nothing said":                {nil, handlers.AuthorizationRequest{Scopes: []string{"mcp:search", "mcp:admin"}, Resources: []string{docs}, Offline: true}},
		"one scope":                   {[]string{"scope", "mcp:search"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Offline: true}},
		"a scope twice, and spaces":   {[]string{"scope", " mcp:search  mcp:search "}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Offline: true}},
		"openid email profile":        {[]string{"scope", "openid email profile"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search", "mcp:admin"}, Resources: []string{docs}, Offline: true}},
		"openid and a registered one": {[]string{"scope", "openid mcp:search"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Offline: true}},
		"a wildcard is no scope":      {[]string{"scope", "mcp:* mcp:search"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Offline: true}},
		"another resource":            {[]string{"scope", "mcp:search", "resource", other}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{other}, Offline: true}},
		"an empty resource":           {[]string{"scope", "mcp:search", "resource", ""}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Offline: true}},
		"prompts":                     {[]string{"scope", "mcp:search", "prompt", "login consent login"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Prompt: []string{"login", "consent"}, Offline: true}},
		"prompt none":                 {[]string{"scope", "mcp:search", "prompt", "none"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}, Prompt: []string{"none"}, Offline: true}},
		"a client without refresh":    {[]string{"scope", "mcp:search", "client_id", "once"}, handlers.AuthorizationRequest{Scopes: []string{"mcp:search"}, Resources: []string{docs}}},
	} {
		t.Run(name, func(t *testing.T) {
			f.authorize(c.changes...).sentBack(t, callback)
			got := f.asked
			if got.Client == nil || got.RedirectURI.String() != callback {
				t.Errorf("client %v, redirect URI %v", got.Client, got.RedirectURI)
			}
			got.Client, got.RedirectURI = nil, nil
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("several resources", func(t *testing.T) {
		f.visit(authorizeQuery().Encode() + "&resource=" + url.QueryEscape(docs) + "&resource=" + url.QueryEscape(other))
		if diff := cmp.Diff([]string{docs, other}, f.asked.Resources); diff != "" {
			t.Errorf("resources (-want +got):\n%s", diff)
		}
	})
}

// RFC 6749 §3.1. A page of another site has posted the form, without the cookies of this one.
func TestAPostBecomesTheSameRequestByGet(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	query := authorizeQuery("state", "a&b c")
	postQuery := func(suffix string, query url.Values) *request {
		return &request{http.MethodPost, basePath + "/authorize" + suffix, contentForm, query.Encode(), http.Header{}}
	}
	a := f.do(postQuery("", query))
	location := a.header.Get("Location")
	if a.status != http.StatusSeeOther || location != "?"+query.Encode() {
		t.Fatalf("got %d, Location %q", a.status, location)
	}
	if values := f.visit(location[1:]).sentBack(t, callback); values.Get("state") != "a&b c" || !values.Has("code") {
		t.Errorf("got %v", values)
	}
	t.Run("what is given in both places is given twice", func(t *testing.T) {
		location := f.do(postQuery("?redirect_uri=https://evil.example.com/", query)).header.Get("Location")
		if a := f.visit(location[1:]); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("got %d, Location %q", a.status, a.header.Get("Location"))
		}
	})
	json := postQuery("", query)
	json.contentType = contentJSON
	for name, c := range map[string]struct {
		r      *request
		status int
	}{
		"JSON":        {json, 400},
		"empty":       {postQuery("", nil), 400},
		"a secret":    {postQuery("", authorizeQuery("client_secret", "hunter2")), 400},
		"a verifier":  {postQuery("", authorizeQuery("code_verifier", verifier)), 400},
		"twice":       {postQuery("", url.Values{"client_id": {"app", "app"}}), 400},
		"over 16 KiB": {postQuery("", authorizeQuery("state", strings.Repeat("x", 17<<10))), 413},
		"over 64 KiB": {postQuery("", authorizeQuery("state", strings.Repeat("x", 65<<10))), 413},
		"DELETE":      {&request{method: http.MethodDelete, path: basePath + "/authorize?" + query.Encode(), header: http.Header{}}, 405},
		"OPTIONS":     {&request{method: http.MethodOptions, path: basePath + "/authorize", header: http.Header{}}, 405},
	} {
		t.Run(name, func(t *testing.T) {
			if a := f.do(c.r); a.status != c.status || a.header.Get("Location") != "" || strings.Contains(a.text, "hunter2") {
				t.Errorf("got %d, Location %q, want %d", a.status, a.header.Get("Location"), c.status)
			}
		})
	}
}

func TestATeamCanShowErrorsItsOwnWay(t *testing.T) {
	f := newFixture(t)
	router := mux.NewRouter()
	(&handlers.Server{
		Provider: f.oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Login: f,
		ErrorPage: func(w http.ResponseWriter, _ *http.Request, status int, err *fosite.RFC6749Error) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "own page: %s", err.ErrorField)
		},
	}).Mount(router.PathPrefix(basePath).Subrouter())
	f.router = router
	if a := f.authorize("client_id", "nobody"); a.status != http.StatusBadRequest || a.text != "own page: invalid_client" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

func TestWithoutLoginThereIsNoAuthorizationEndpoint(t *testing.T) {
	f := newFixture(t)
	router := mux.NewRouter()
	(&handlers.Server{Provider: f.oauth, NewSession: func() fosite.Session { return provider.NewSession() }}).
		Mount(router.PathPrefix(basePath).Subrouter())
	f.router = router
	if a := f.authorize(); a.status != http.StatusNotFound {
		t.Errorf("got %d, want 404", a.status)
	}
}

// RFC 9700 §4.11.2: whoever describes a client of their own must not lead browsers away by a link to this server.
func TestNobodyIsRedirectedToAHostThatIsNotCheckedBeforeTheyAnswer(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.change = func(o *provider.Options) { o.TrustedRedirectHosts = []string{"known.example.com", "*"} }
	})
	const unchecked = "https://evil.example.com/callback"
	for id, registeredBy := range map[string]string{"self": client.DynamicRegistration, "ours": ""} {
		f.app(id, func(c *client.Client) {
			c.RegisteredBy = registeredBy
			c.RedirectURIs = []string{unchecked, "https://known.example.com/callback", "https://known.example.com:8443/callback", callback}
		})
	}
	said := map[string]func(http.ResponseWriter) (*handlers.Decision, error){
		"nobody is logged in": func(http.ResponseWriter) (*handlers.Decision, error) {
			return &handlers.Decision{Err: fosite.ErrLoginRequired}, nil
		},
		"the login is down":    func(http.ResponseWriter) (*handlers.Decision, error) { return nil, errors.New("disk full") },
		"the person denies it": func(http.ResponseWriter) (*handlers.Decision, error) { return &handlers.Decision{Denied: true}, nil },
		"the person allows it": nil,
	}
	for name, c := range map[string]struct {
		id, to, decision string
		changes          []string
		redirects        bool
	}{
		"a mistake in the request":     {"self", unchecked, "", []string{"response_type", "token"}, false},
		"an unknown prompt":            {"self", unchecked, "", []string{"prompt", "admin"}, false},
		"an endless max_age":           {"self", unchecked, "", []string{"max_age", "soon"}, false},
		"prompt=none":                  {"self", unchecked, "nobody is logged in", []string{"prompt", "none"}, false},
		"an outage":                    {"self", unchecked, "the login is down", nil, false},
		"another port of a known host": {"self", "https://known.example.com:8443/callback", "", []string{"response_type", "token"}, false},
		"a known host":                 {"self", "https://known.example.com/callback", "", []string{"response_type", "token"}, true},
		"the person's own device":      {"self", callback, "", []string{"response_type", "token"}, true},
		"a client of an administrator": {"ours", unchecked, "", []string{"response_type", "token"}, true},
		"a denial":                     {"self", unchecked, "the person denies it", nil, true},
		"a code":                       {"self", unchecked, "the person allows it", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			f.decide = said[c.decision]
			a := f.authorize(append(c.changes, "client_id", c.id, "redirect_uri", c.to)...)
			if c.redirects {
				a.sentBack(t, c.to)
			} else if a.header.Get("Location") != "" || a.status < 400 || strings.Contains(a.text, "evil.example.com") {
				t.Errorf("got %d, Location %q, %s; want a page", a.status, a.header.Get("Location"), a.text)
			}
		})
	}
}
