package handlers_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

func TestTokenAnswerHoldsExactlyWhatTheContractSays(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	for name, r := range map[string]*request{
		"form body": post("/token", "grant_type", "client_credentials", "client_id", "ci", "client_secret", secret),
		"Basic":     post("/token", "grant_type", "client_credentials").basic("ci", secret),
		"both, agreeing": post("/token", "grant_type", "client_credentials", "client_id", "ci", "client_secret", secret).
			basic("ci", secret),
		"with scope and resource": post("/token", "grant_type", "client_credentials", "scope", "mcp:search", "resource", docs).basic("ci", secret),
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(r)
			if a.status != http.StatusOK {
				t.Fatalf("status %d: %s", a.status, a.text)
			}
			if diff := cmp.Diff([]string{"access_token", "expires_in", "scope", "token_type"}, slices.Sorted(maps.Keys(a.json))); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
			token, _ := a.json["access_token"].(string)
			if !strings.HasPrefix(token, "mcp_at_") {
				t.Errorf("access_token %q has no prefix mcp_at_", token)
			}
			if a.json["token_type"] != "Bearer" || a.json["expires_in"] != float64(twoWeeks) || a.json["scope"] != "mcp:search" {
				t.Errorf("answer %s", a.text)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
			if got := a.header.Get("Content-Type"); got != contentJSON {
				t.Errorf("Content-Type %q, want %s", got, contentJSON)
			}
		})
	}
}

// RFC 6749 §5.2 and RFC 8707 §2.
func TestTokenRefusals(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	f.client("login", func(c *client.Client) { c.GrantTypes = []string{"authorization_code"} })
	f.client("public", func(c *client.Client) { c.TokenEndpointAuthMethod = "none"; c.Secrets = nil })
	f.client("off", func(c *client.Client) { c.Status = client.Disabled })
	good := func(parameters ...string) *request {
		return post("/token", append([]string{"grant_type", "client_credentials"}, parameters...)...).basic("ci", secret)
	}
	raw := func(method, contentType, body string) *request {
		r := good()
		r.method, r.contentType, r.body = method, contentType, body
		return r
	}
	for name, c := range map[string]struct {
		r      *request
		status int
		code   string
	}{
		"unknown client":               {post("/token", "grant_type", "client_credentials").basic("nobody", secret), 401, "invalid_client"},
		"wrong secret":                 {post("/token", "grant_type", "client_credentials").basic("ci", secret+hostileSuffix), 401, "invalid_client"},
		"no secret":                    {post("/token", "grant_type", "client_credentials", "client_id", "ci"), 401, "invalid_client"},
		"empty secret":                 {post("/token", "grant_type", "client_credentials").basic("ci", ""), 401, "invalid_client"},
		"no credentials":               {post("/token", "grant_type", "client_credentials"), 401, "invalid_client"},
		"disabled client":              {post("/token", "grant_type", "client_credentials").basic("off", secret), 401, "invalid_client"},
		"Basic and body, other secret": {good("client_id", "ci", "client_secret", secret+hostileSuffix), 400, "invalid_request"},
		"Basic and body, other id":     {good("client_id", "login"), 400, "invalid_request"},
		"garbage in Basic": {func() *request {
			r := post("/token", "grant_type", "client_credentials")
			r.header.Set("Authorization", "Basic %%%")
			return r
		}(), 401, "invalid_client"},
		"unknown grant_type":             {post("/token", "grant_type", "magic").basic("ci", secret), 400, "unsupported_grant_type"},
		"unknown grant_type, no client":  {post("/token", "grant_type", "magic"), 400, "unsupported_grant_type"},
		"empty grant_type":               {post("/token", "grant_type", "").basic("ci", secret), 400, "invalid_request"},
		"missing grant_type":             {post("/token", "scope", "mcp:search").basic("ci", secret), 400, "invalid_request"},
		"foreign scope":                  {good("scope", "mcp:search admin"), 400, "invalid_scope"},
		"scope by wildcard":              {good("scope", "mcp:search.all"), 400, "invalid_scope"},
		"unknown resource":               {good("resource", "https://evil.example.com/"), 400, "invalid_target"},
		"known but foreign resource":     {good("resource", other), 400, "invalid_target"},
		"resource below a known one":     {good("resource", docs+"/../admin"), 400, "invalid_target"},
		"resource with userinfo":         {good("resource", "https://u:p@docs.example.com/authed/mcp"), 400, "invalid_target"},
		"one good, one unknown resource": {good("resource", docs, "resource", "urn:x"), 400, "invalid_target"},
		"foreign audience":               {good("audience", other), 400, "invalid_target"},
		"a parameter twice":              {good("scope", "mcp:search", "scope", "mcp:search"), 400, "invalid_request"},
		"grant_type twice":               {good("grant_type", "client_credentials"), 400, "invalid_request"},
		"client without the grant":       {post("/token", "grant_type", "client_credentials").basic("login", ""), 401, "invalid_client"},
		"public client":                  {post("/token", "grant_type", "client_credentials", "client_id", "public"), 400, "unauthorized_client"},
		"GET":                            {raw("GET", "", ""), 405, "invalid_request"},
		"JSON":                           {raw("POST", contentJSON, `{"grant_type":"client_credentials"}`), 400, "invalid_request"},
		"multipart":                      {raw("POST", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--b--\r\n"), 400, "invalid_request"},
		"no content type":                {raw("POST", "", "grant_type=client_credentials"), 400, "invalid_request"},
		"over 64 KiB":                    {good("scope", strings.Repeat("a", 65<<10)), 413, "invalid_request"},
		"long scope":                     {good("scope", strings.Repeat("mcp:search ", 500)), 400, "invalid_request"},
		"broken escape":                  {raw("POST", contentForm, "grant_type=%zz"), 400, "invalid_request"},
		"empty body":                     {raw("POST", contentForm, ""), 400, "invalid_request"},
		"secret in the URL": {func() *request {
			r := good()
			r.path += "?client_secret=" + secret
			return r
		}(), 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.do(c.r)
			if a.status != c.status || a.json["error"] != c.code {
				t.Fatalf("got %d %s, want %d %s", a.status, a.text, c.status, c.code)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", got)
			}
			challenge := a.header.Get("WWW-Authenticate")
			if (a.status == 401) != strings.HasPrefix(challenge, "Basic realm=") {
				t.Errorf("status %d with WWW-Authenticate %q", a.status, challenge)
			}
			if strings.Contains(a.text, secret) {
				t.Error("the answer holds the secret")
			}
		})
	}
}

// An attacker must not learn from the answer which half of a credential was wrong.
func TestUnknownClientAndWrongSecretAnswerAlike(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	unknown := f.do(post("/token", "grant_type", "client_credentials").basic("nobody", secret))
	wrong := f.do(post("/token", "grant_type", "client_credentials").basic("ci", "guess"))
	if unknown.text != wrong.text || unknown.status != wrong.status {
		t.Errorf("answers differ:\n%s\n%s", unknown.text, wrong.text)
	}
}

func TestAResourceMayBeNamedWithASlashOnABareOrigin(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci", func(c *client.Client) { c.Audience = []string{origin} }, introspects(origin))
	token := f.token("ci", secret, "resource", origin+"/")
	a := f.introspect("ci", secret, token)
	if diff := cmp.Diff([]any{origin}, a.json["aud"]); diff != "" {
		t.Errorf("aud (-want +got):\n%s\n%s", diff, a.text)
	}
}
