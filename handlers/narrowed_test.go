package handlers_test

import (
	"fmt"
	"testing"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

// A client that is changed has live tokens. They allow what it may have now, from the next introspection on.
func TestWhatAClientLosesItsTokensLose(t *testing.T) {
	type left struct {
		scope any
		aud   any
		mcp   any
	}
	mcp := func(resource any, tools ...any) map[string]any {
		return map[string]any{"resource": resource, "tools": tools}
	}
	whole := left{"docs:read docs:admin wiki:read", []any{docs, wiki}, mcp([]any{docs, wiki}, "search", "get_page", "delete", "search_wiki")}
	nothing := left{}
	changes := map[string]struct {
		edit func(*client.Client)
		want left
	}{
		"a scope":                     {func(c *client.Client) { c.Scope = []string{"docs:read", "wiki:read"} }, left{"docs:read wiki:read", []any{docs, wiki}, mcp([]any{docs, wiki}, "search", "get_page", "search_wiki")}},
		"all scopes of one":           {func(c *client.Client) { c.Scope = []string{"wiki:read"} }, left{"wiki:read", []any{docs, wiki}, mcp([]any{docs, wiki}, "search_wiki")}},
		"every scope for one":         {func(c *client.Client) { c.Scope = []string{"profile"} }, nothing},
		"every scope":                 {func(c *client.Client) { c.Scope = nil }, nothing},
		"a resource":                  {func(c *client.Client) { c.Audience = []string{wiki, origin} }, left{"wiki:read", []any{wiki}, mcp(wiki, "search_wiki")}},
		"both for another":            {func(c *client.Client) { c.Audience = []string{origin} }, nothing},
		"every resource":              {func(c *client.Client) { c.Audience = nil }, nothing},
		"everything":                  {func(c *client.Client) { c.Scope, c.Audience = nil, nil }, nothing},
		"the scopes of what it keeps": {func(c *client.Client) { c.Scope, c.Audience = []string{"docs:read"}, []string{wiki} }, nothing},
	}
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		server := f.client("server", introspects(docs, wiki))
		wide := registeredFor("docs:read", "docs:admin", "wiki:read")
		query := authorizeQuery()
		query["resource"] = []string{docs, wiki}
		number := 0
		for name, change := range changes {
			t.Run(name, func(t *testing.T) {
				number++
				app, machine := fmt.Sprintf("app%d", number), fmt.Sprintf("machine%d", number)
				f.app(app, wide)
				query.Set("client_id", app)
				person := f.tokens(redeem(f.visit(query.Encode()).sentBack(t, callback).Get("code"), "client_id", app))
				refreshed := f.tokens(refresh(person.refresh, "client_id", app))
				issued := map[string]string{
					"a person's":  f.tokens(refresh(refreshed.refresh, "client_id", app)).access,
					"a machine's": f.token(machine, f.client(machine, wide), "resource", docs, "resource", wiki),
				}
				check := func(when string, want left) {
					t.Helper()
					for whose, token := range issued {
						a := f.introspect("server", server, token)
						if diff := cmp.Diff(want, left{a.json["scope"], a.json["aud"], a.json["mcp"]}, cmp.AllowUnexported(left{})); diff != "" {
							t.Errorf("%s, %s (-want +got):\n%s", whose, when, diff)
						}
						if want == nothing && a.text != inactive {
							t.Errorf("%s, %s: %s, want %s", whose, when, a.text, inactive)
						}
					}
				}
				check("at first", whole)
				f.edit(app, change.edit)
				f.edit(machine, change.edit)
				check("taken away", change.want)
				f.edit(app, wide)
				f.edit(machine, wide)
				check("given back", whole)
			})
		}
	}, withScopes)
}

// A token without any scope has none to lose, and is for its resources all the same.
func TestATokenWithoutScopesEndsWithItsResources(t *testing.T) {
	f := newFixture(t, withScopes, func(f *fixture) {
		scopes := f.change
		f.change = func(o *provider.Options) { scopes(o); o.ClientCredentialsRefresh = true }
	})
	secret := f.client("ci", registeredFor())
	got := f.tokens(post("/token", "grant_type", "client_credentials").basic("ci", secret))
	token := got.access
	if a := f.introspect("ci", secret, token); a.json["active"] != true {
		t.Fatalf("at first: %s", a.text)
	}
	f.edit("ci", func(c *client.Client) { c.Audience = []string{wiki} })
	if a := f.introspect("ci", secret, token); a.text != inactive {
		t.Errorf("without its resource: %s, want %s", a.text, inactive)
	}
	if a := f.do(post("/token", "grant_type", "refresh_token", "refresh_token", got.refresh).basic("ci", secret)); a.json["error"] != "invalid_grant" {
		t.Errorf("refreshed: %s, want invalid_grant", a.text)
	}
}

// What the configuration takes from resources is gone as well.
func TestWhatAResourceLosesItsTokensLose(t *testing.T) {
	f := newFixture(t, withScopes)
	server := f.client("server", introspects(docs))
	secret := f.client("ci", registeredFor("docs:read", "docs:admin", "wiki:read"))
	f.app("app", registeredFor("docs:read", "docs:admin", "wiki:read"))
	query := authorizeQuery()
	query["resource"] = []string{docs, wiki}
	token := f.token("ci", secret, "resource", docs, "resource", wiki)
	person := f.tokens(redeem(f.visit(query.Encode()).sentBack(t, callback).Get("code")))
	before := f.change
	for name, c := range map[string]struct {
		change func(*provider.Resources)
		want   string // the scope for docs; empty: inactive
		code   string // of a refresh for docs alone
	}{
		"a scope":      {func(r *provider.Resources) { r.Scopes[docs] = []string{"docs:read"} }, "docs:read", ""},
		"every scope":  {func(r *provider.Resources) { r.Scopes[docs] = []string{"profile"} }, "", "invalid_scope"}, // the wiki's are left
		"its place":    {func(r *provider.Resources) { r.Known, r.Default = []string{wiki, origin}, wiki }, "", "invalid_grant"},
		"a scope more": {func(r *provider.Resources) { r.Scopes[docs] = append(r.Scopes[docs], "wiki:read") }, "docs:read docs:admin wiki:read", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.change = func(o *provider.Options) { before(o); c.change(&o.Resources) }
			f.serve(f.store)
			a := f.introspect("server", server, token)
			if scope, _ := a.json["scope"].(string); scope != c.want || c.want == "" && a.text != inactive {
				t.Errorf("introspected: %s, want the scope %q", a.text, c.want)
			}
			// The person's grant, refreshed for docs alone, is worth the same.
			a = f.do(refresh(person.refresh, "resource", docs))
			if scope, _ := a.json["scope"].(string); scope != c.want || c.want == "" && a.json["error"] != c.code {
				t.Errorf("refreshed: %s, want the scope %q or the error %q", a.text, c.want, c.code)
			}
			if a.json["refresh_token"] != nil {
				person.refresh = a.json["refresh_token"].(string)
			}
		})
	}
}
