package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
)

// withHierarchy is withScopes where docs:admin includes docs:edit, which includes docs:read, and staff includes all there is.
func withHierarchy(f *fixture) {
	withScopes(f)
	scopes := f.change
	f.change = func(o *provider.Options) {
		scopes(o)
		o.Scopes["docs:edit"] = provider.Scope{Tools: []string{"edit"}, Includes: []string{"docs:read"}}
		o.Scopes["docs:admin"] = provider.Scope{Tools: []string{"delete"}, Includes: []string{"docs:edit"}}
		o.Scopes["staff"] = provider.Scope{Includes: []string{"docs:admin", "wiki:read"}}
		o.Resources.Scopes[docs] = append(o.Resources.Scopes[docs], "docs:edit")
	}
}

var hierarchyTable = map[string]struct {
	registered string
	resources  []string
	scope      string
	want       string
	err        string
}{
	"no scope":                        {"docs:admin", nil, "", "docs:admin docs:edit docs:read", ""},
	"what includes others":            {"docs:admin", nil, "docs:admin", "docs:admin docs:edit docs:read", ""},
	"what is included":                {"docs:admin", nil, "docs:read", "docs:read", ""},
	"what is included, by another":    {"docs:admin", nil, "docs:edit", "docs:edit docs:read", ""},
	"both":                            {"docs:admin", nil, "docs:read docs:admin", "docs:read docs:admin docs:edit", ""},
	"no resource understands it all":  {"staff", []string{docs}, "staff", "docs:admin docs:edit docs:read", ""},
	"each resource its own":           {"staff", []string{docs, wiki}, "staff", "docs:admin wiki:read docs:edit docs:read", ""},
	"more than the client has":        {"docs:edit", nil, "docs:admin", "", "invalid_scope"},
	"what includes the client's":      {"docs:read", nil, "staff", "", "invalid_scope"},
	"what includes it, elsewhere":     {"wiki:read", []string{wiki}, "staff", "", "invalid_scope"},
	"what means nothing to the place": {"staff", []string{wiki}, "docs:read", "", "invalid_scope"},
}

func TestAMachinesTokenHasWhatItsScopesInclude(t *testing.T) {
	f := newFixture(t, withHierarchy)
	n := 0
	for name, c := range hierarchyTable {
		t.Run(name, func(t *testing.T) {
			n++
			id := "ci" + strings.Repeat("x", n)
			secret := f.client(id, registeredFor(c.registered))
			form := url.Values{"grant_type": {"client_credentials"}, "scope": {c.scope}, "resource": c.resources}
			a := f.do((&request{http.MethodPost, basePath + "/token", contentForm, form.Encode(), http.Header{}}).basic(id, secret))
			if scope, _ := a.json["scope"].(string); scope != c.want || c.err != "" && a.json["error"] != c.err {
				t.Fatalf("%d %s, want %s%s", a.status, a.text, c.want, c.err)
			}
			if c.err != "" {
				return
			}
			if told := f.introspect(id, secret, a.json["access_token"].(string)); told.json["scope"] != c.want {
				t.Errorf("introspected: %s, want the scope %q", told.text, c.want)
			}
		})
	}
}

func TestAPersonAllowsWhatTheScopesInclude(t *testing.T) {
	f := newFixture(t, withHierarchy)
	f.app("app", registeredFor("docs:admin"))
	f.asked = handlers.AuthorizationRequest{}
	values := f.visit(authorizeQuery("scope", "docs:admin").Encode()).sentBack(t, callback)
	if asked := strings.Join(f.asked.Scopes, " "); asked != "docs:admin docs:edit docs:read" {
		t.Errorf("the person was asked for %q", asked)
	}
	got := f.tokens(redeem(values.Get("code")))
	if a := f.do(refresh(got.refresh, "scope", "docs:read")); a.json["scope"] != "docs:read" {
		t.Errorf("refreshed for what is included: %d %s", a.status, a.text)
	}
	values = f.visit(authorizeQuery("scope", "docs:read").Encode()).sentBack(t, callback)
	if asked := strings.Join(f.asked.Scopes, " "); asked != "docs:read" {
		t.Errorf("the person was asked for %q, want docs:read alone", asked)
	}
	got = f.tokens(redeem(values.Get("code")))
	if a := f.do(refresh(got.refresh, "scope", "docs:admin")); a.json["error"] != "invalid_scope" {
		t.Errorf("a refresh for what includes it: %d %s, want invalid_scope", a.status, a.text)
	}
}

func TestAClientThatLosesAScopeLosesWhatItIncludes(t *testing.T) {
	f := newFixture(t, withHierarchy)
	secret := f.client("ci", registeredFor("docs:admin", "wiki:read"))
	token := f.token("ci", secret, "resource", docs, "resource", wiki)
	for _, c := range []struct {
		registered []string
		want       string
	}{
		{[]string{"docs:admin", "wiki:read"}, "docs:admin wiki:read docs:edit docs:read"},
		{[]string{"docs:edit", "wiki:read"}, "wiki:read docs:edit docs:read"},
		{[]string{"wiki:read"}, "wiki:read"},
	} {
		f.edit("ci", func(registered *client.Client) { registered.Scope = c.registered })
		if a := f.introspect("ci", secret, token); a.json["scope"] != c.want {
			t.Errorf("registered for %v: %s, want the scope %q", c.registered, a.text, c.want)
		}
	}
}

func TestToolsAreThoseOfIncludedScopesToo(t *testing.T) {
	f := newFixture(t, withHierarchy)
	secret := f.client("ci", registeredFor("staff"))
	caller := f.client("docs", introspects(docs))
	a := f.introspect("docs", caller, f.token("ci", secret, "scope", "staff"))
	mcp, _ := a.json["mcp"].(map[string]any)
	tools, _ := mcp["tools"].([]any)
	if a.json["scope"] != "docs:admin docs:edit docs:read" || len(tools) != 4 {
		t.Errorf("%s, want the four tools of docs:admin and what it includes", a.text)
	}
}
