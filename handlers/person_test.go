package handlers_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fosite-mcp/provider/client"
)

const (
	callback    = "http://127.0.0.1:33418/callback"
	webCallback = "https://app.example.com/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// app registers a public client of people with a loopback redirect.
func (f *fixture) app(id string, edits ...func(*client.Client)) {
	f.t.Helper()
	f.client(id, append([]func(*client.Client){func(c *client.Client) {
		c.TokenEndpointAuthMethod, c.Secrets = "none", nil
		c.GrantTypes = []string{"authorization_code", "refresh_token"}
		c.RedirectURIs = []string{"http://127.0.0.1/callback"}
		c.Scope = []string{"mcp:search", "mcp:admin"}
		c.Audience = []string{docs, other}
	}}, edits...)...)
}

// webApp registers a confidential client of people, and returns its secret.
func (f *fixture) webApp(id string) (secret string) {
	f.t.Helper()
	return f.client(id, func(c *client.Client) {
		c.GrantTypes = []string{"authorization_code", "refresh_token"}
		c.RedirectURIs = []string{webCallback}
	})
}

// authorizeQuery is a good request of the client app, changed by name, value pairs; the value "-" takes a parameter
// out.
func authorizeQuery(changes ...string) url.Values {
	query := url.Values{
		"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"s-1234567"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if query.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			query.Del(changes[i])
		}
	}
	return query
}

// authorize is a browser's visit of the authorization endpoint.
func (f *fixture) authorize(changes ...string) answer {
	f.t.Helper()
	return f.visit(authorizeQuery(changes...).Encode())
}

func (f *fixture) visit(query string) answer {
	f.t.Helper()
	return f.do(&request{method: http.MethodGet, path: basePath + "/authorize?" + query, header: http.Header{}})
}

// sentBack is the parameters that the browser carries back to the client at redirectURI.
func (a answer) sentBack(t testing.TB, redirectURI string) url.Values {
	t.Helper()
	location := a.header.Get("Location")
	query, ok := strings.CutPrefix(location, redirectURI+"?")
	if a.status != http.StatusSeeOther || !ok {
		t.Fatalf("got %d, Location %q, body %s; want 303 to %s", a.status, location, a.text, redirectURI)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// code is what a login of alice gives the client.
func (f *fixture) code(changes ...string) string {
	f.t.Helper()
	query := authorizeQuery(changes...)
	code := f.visit(query.Encode()).sentBack(f.t, query.Get("redirect_uri")).Get("code")
	if code == "" {
		f.t.Fatal("no code")
	}
	return code
}

// redeem is the token request of the client app for a code, changed like [authorizeQuery].
func redeem(code string, changes ...string) *request {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {code}, "redirect_uri": {callback},
		"code_verifier": {verifier},
	}, changes)
}

// refresh is the token request of the client app for a refresh token, changed like [authorizeQuery].
func refresh(token string, changes ...string) *request {
	return changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {token}}, changes)
}

func changed(form url.Values, changes []string) *request {
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return &request{http.MethodPost, basePath + "/token", contentForm, form.Encode(), http.Header{}}
}

// tokens are what a token request gave.
type tokens struct{ access, refresh string }

func (f *fixture) tokens(r *request) tokens {
	f.t.Helper()
	a := f.do(r)
	access, _ := a.json["access_token"].(string)
	refresh, _ := a.json["refresh_token"].(string)
	if a.status != http.StatusOK || access == "" {
		f.t.Fatalf("no tokens: %d %s", a.status, a.text)
	}
	return tokens{access, refresh}
}

// login is a whole login of alice with the client app.
func (f *fixture) login(changes ...string) tokens {
	f.t.Helper()
	return f.tokens(redeem(f.code(changes...)))
}

// alive tells whether the resource server "docs" would accept the token.
func (f *fixture) alive(access string) bool {
	f.t.Helper()
	return f.inspect(access).json["active"] == true
}

// inspect asks about a token as a resource server of both resources.
func (f *fixture) inspect(access string) answer {
	f.t.Helper()
	if f.resourceServer == "" {
		f.resourceServer = f.client("resource_server", introspects(docs, other))
	}
	return f.introspect("resource_server", f.resourceServer, access)
}

func pkce(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
