package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

// wiki is a second resource. It understands one scope, docs two others, and origin, without a list, every one.
const wiki = "https://wiki.example.com/mcp"

func withScopes(f *fixture) {
	f.change = func(o *provider.Options) {
		o.Scopes = provider.Scopes{
			"docs:read": {Tools: []string{"search", "get_page"}}, "docs:admin": {Tools: []string{"delete"}},
			"wiki:read": {Tools: []string{"search_wiki"}}, "profile": {},
		}
		o.Resources = provider.Resources{
			Known: []string{docs, wiki, origin}, Default: docs,
			Scopes: map[string][]string{docs: {"docs:read", "docs:admin", "profile"}, wiki: {"wiki:read"}},
		}
	}
}

// registeredFor is a client that may have these scopes at every resource.
func registeredFor(scopes ...string) func(*client.Client) {
	return func(c *client.Client) { c.Scope, c.Audience = scopes, []string{docs, wiki, origin} }
}

// scopeTable is what requests for a token get, whatever the grant: a scope, or an error. The client is registered for
// docs:admin and wiki:read.
var scopeTable = map[string]struct {
	resources []string
	scope     string
	want      string
	err       string
}{
	"the default resource, no scope":           {nil, "", "docs:admin", ""},
	"a resource, no scope":                     {[]string{wiki}, "", "wiki:read", ""},
	"two resources, no scope":                  {[]string{wiki, docs}, "", "docs:admin wiki:read", ""},
	"a resource that understands every scope":  {[]string{origin}, "", "docs:admin wiki:read", ""},
	"a scope that the resource understands":    {[]string{wiki}, "wiki:read", "wiki:read", ""},
	"scopes of two resources":                  {[]string{wiki, docs}, "wiki:read docs:admin", "wiki:read docs:admin", ""},
	"one of two resources understands it":      {[]string{wiki, docs}, "docs:admin", "docs:admin", ""},
	"a scope of another resource":              {[]string{wiki}, "docs:admin", "", "invalid_scope"},
	"a scope of another than the default":      {nil, "wiki:read", "", "invalid_scope"},
	"a scope that is understood, and one more": {[]string{wiki}, "wiki:read docs:admin", "", "invalid_scope"},
}

func TestAMachinesTokenHoldsTheScopesOfItsResources(t *testing.T) {
	f := newFixture(t, withScopes)
	secret := f.client("ci", registeredFor("docs:admin", "wiki:read"))
	for name, c := range scopeTable {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}, "scope": {c.scope}, "resource": c.resources}
			a := f.do((&request{http.MethodPost, basePath + "/token", contentForm, form.Encode(), http.Header{}}).basic("ci", secret))
			if scope, _ := a.json["scope"].(string); scope != c.want || c.err != "" && a.json["error"] != c.err {
				t.Errorf("%d %s, want %s%s", a.status, a.text, c.want, c.err)
			}
		})
	}
	t.Run("none of the client's scopes", func(t *testing.T) {
		secret := f.client("reader", registeredFor("docs:read"))
		if a := f.do(post("/token", "grant_type", "client_credentials", "resource", wiki).basic("reader", secret)); a.json["error"] != "invalid_scope" {
			t.Errorf("%d %s, want invalid_scope", a.status, a.text)
		}
	})
	t.Run("a client without any scope", func(t *testing.T) {
		secret := f.client("scopeless", registeredFor())
		if a := f.introspect("scopeless", secret, f.token("scopeless", secret)); a.json["active"] != true || a.json["scope"] != nil {
			t.Errorf("%s, want an active token without a scope", a.text)
		}
	})
}

func TestAPersonIsAskedForAndGrantsTheScopesOfTheResources(t *testing.T) {
	f := newFixture(t, withScopes)
	f.app("app", registeredFor("docs:admin", "wiki:read"))
	for name, c := range scopeTable {
		t.Run(name, func(t *testing.T) {
			f.asked = handlers.AuthorizationRequest{}
			query := authorizeQuery("scope", c.scope)
			query["resource"] = c.resources
			values := f.visit(query.Encode()).sentBack(t, callback)
			if c.err != "" {
				if values.Get("error") != c.err || f.asked.Client != nil {
					t.Errorf("%v, somebody was asked: %v; want %s", values, f.asked.Client != nil, c.err)
				}
				return
			}
			if asked := strings.Join(f.asked.Scopes, " "); asked != c.want {
				t.Errorf("the person was asked for %q, want %q", asked, c.want)
			}
			a := f.do(redeem(values.Get("code")))
			if a.json["scope"] != c.want {
				t.Fatalf("token: %d %s, want the scope %q", a.status, a.text, c.want)
			}
			if a := f.do(refresh(a.json["refresh_token"].(string))); a.json["scope"] != c.want {
				t.Errorf("refreshed: %d %s, want the scope %q", a.status, a.text, c.want)
			}
		})
	}
}

// Scopes are case-sensitive (RFC 6749 §3.3).
func TestAScopeInCapitalsIsAnotherOne(t *testing.T) {
	f := newFixture(t, withScopes)
	f.app("app", registeredFor("docs:read", "docs:admin"))
	f.authorize("scope", "DOCS:ADMIN docs:read").sentBack(t, callback)
	if asked := strings.Join(f.asked.Scopes, " "); asked != "docs:read" {
		t.Errorf("the person was asked for %q, want docs:read", asked)
	}
}

// RFC 8707 §2.2: who narrows the audience of a token narrows its scope with it.
func TestATokenForOneOfTheGrantsResourcesHasItsScopes(t *testing.T) {
	f := newFixture(t, withScopes)
	f.app("app", registeredFor("docs:admin", "wiki:read"))
	query := authorizeQuery()
	query["resource"] = []string{docs, wiki}
	code := func(scope string) string {
		query.Set("scope", scope)
		return f.visit(query.Encode()).sentBack(t, callback).Get("code")
	}
	a := f.do(redeem(code(""), "resource", wiki))
	if a.json["scope"] != "wiki:read" {
		t.Errorf("redeemed for the wiki: %s", a.text)
	}
	a = f.do(refresh(a.json["refresh_token"].(string), "resource", docs))
	if a.json["scope"] != "docs:admin" {
		t.Errorf("refreshed for docs: %s", a.text)
	}
	token := a.json["refresh_token"].(string)
	if a := f.do(refresh(token, "resource", docs, "scope", "wiki:read")); a.json["error"] != "invalid_scope" {
		t.Errorf("the wiki's scope for docs: %s, want invalid_scope", a.text)
	}
	if a = f.do(refresh(token)); a.json["scope"] != "docs:admin wiki:read" {
		t.Errorf("refreshed for both: %s", a.text)
	}
}

// What is wrong is the resource that is named, and not the grant: a client throws away what invalid_grant is said of.
func TestAGrantWithoutAScopeOfTheNamedResourceIsStillGood(t *testing.T) {
	f := newFixture(t, withScopes)
	f.app("app", registeredFor("docs:admin", "wiki:read"))
	query := authorizeQuery("scope", "docs:admin")
	query["resource"] = []string{docs, wiki}
	code := f.visit(query.Encode()).sentBack(t, callback).Get("code")
	if a := f.do(redeem(code, "resource", wiki)); a.status != http.StatusBadRequest || a.json["error"] != "invalid_scope" {
		t.Errorf("the code for the wiki: %d %s, want invalid_scope", a.status, a.text)
	}
	got := f.tokens(redeem(code))
	if a := f.do(refresh(got.refresh, "resource", wiki)); a.status != http.StatusBadRequest || a.json["error"] != "invalid_scope" {
		t.Errorf("a refresh for the wiki: %d %s, want invalid_scope", a.status, a.text)
	}
	if a := f.do(refresh(got.refresh)); a.json["scope"] != "docs:admin" {
		t.Errorf("a refresh for both: %s", a.text)
	}
}

// RFC 7662 §2.2 and §4: a resource server hears what the token means to it.
func TestIntrospectionAnswersForTheCallersResources(t *testing.T) {
	f := newFixture(t, withScopes)
	secret := f.client("ci", registeredFor("docs:admin", "wiki:read"))
	resources := []string{"resource", wiki, "resource", docs}
	both := f.token("ci", secret, resources...)
	one := f.token("ci", secret, append(resources, "scope", "docs:admin")...)
	mcp := func(resource any, tools ...any) map[string]any {
		return map[string]any{"resource": resource, "tools": tools}
	}
	for name, c := range map[string]struct {
		caller []string // introspects; nil: the token's own client
		token  string
		scope  string
		mcp    map[string]any // nil: inactive
	}{
		"docs":                            {[]string{docs}, both, "docs:admin", mcp(docs, "delete")},
		"wiki":                            {[]string{wiki}, both, "wiki:read", mcp(wiki, "search_wiki")},
		"both":                            {[]string{docs, wiki}, both, "docs:admin wiki:read", mcp([]any{wiki, docs}, "delete", "search_wiki")},
		"docs and one that is not there":  {[]string{origin, docs}, both, "docs:admin", mcp(docs, "delete")},
		"one that is not there":           {[]string{origin}, both, "", nil},
		"the client":                      {nil, both, "docs:admin wiki:read", mcp([]any{wiki, docs}, "delete", "search_wiki")},
		"docs, all of the scope":          {[]string{docs}, one, "docs:admin", mcp(docs, "delete")},
		"wiki, to which it means nothing": {[]string{wiki}, one, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			caller, callersSecret := "ci", secret
			if c.caller != nil {
				caller = "for_" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "_"), ",", "")
				callersSecret = f.client(caller, introspects(c.caller...))
			}
			a := f.introspect(caller, callersSecret, c.token)
			if c.mcp == nil {
				if a.status != http.StatusOK || a.text != inactive {
					t.Errorf("%d %s, want 200 %s", a.status, a.text, inactive)
				}
				return
			}
			got := map[string]any{"scope": a.json["scope"], "aud": a.json["aud"], "mcp": a.json["mcp"]}
			want := map[string]any{"scope": c.scope, "aud": []any{wiki, docs}, "mcp": c.mcp}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
