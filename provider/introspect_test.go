package provider

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

const (
	docs = "https://docs.example.com/mcp"
	wiki = "https://wiki.example.com/mcp"
)

// A team calls IntrospectToken of its own composition, without our endpoints.
func TestOurHookInAnotherCompositionTellsWhatATokenAllowsToday(t *testing.T) {
	scopes := Scopes{"docs:read": {Tools: []string{"search"}}, "docs:admin": {Tools: []string{"delete"}}, "wiki:read": {Tools: []string{"search_wiki"}}, "profile": {}}
	resources := Resources{Known: []string{docs, wiki}, Scopes: map[string][]string{docs: {"docs:read", "docs:admin", "profile"}, wiki: {"wiki:read"}}}
	whole := []string{"docs:admin", "wiki:read", "profile"}
	client := func(scopes []string, audience ...string) fosite.Client {
		return &fosite.DefaultClient{ID: "ci", Secret: []byte("hash"), Scopes: scopes, Audience: audience}
	}
	for name, c := range map[string]struct {
		client    fosite.Client
		asked     []string // nil: not said
		resources []Resources
		exact     bool
		want      *MCPClaim // nil: inactive
		scope     string
		audience  string
	}{
		"nobody said for whom":              {client(whole, docs, wiki), nil, []Resources{resources}, true, &MCPClaim{[]string{docs, wiki}, []string{"delete", "search_wiki"}}, "docs:admin wiki:read profile", docs + " " + wiki},
		"for docs":                          {client(whole, docs, wiki), []string{docs}, []Resources{resources}, true, &MCPClaim{docs, []string{"delete"}}, "docs:admin profile", docs + " " + wiki},
		"for the wiki":                      {client(whole, docs, wiki), []string{wiki}, []Resources{resources}, true, &MCPClaim{wiki, []string{"search_wiki"}}, "wiki:read", docs + " " + wiki},
		"for both, in the token's order":    {client(whole, docs, wiki), []string{wiki, docs}, []Resources{resources}, true, &MCPClaim{[]string{docs, wiki}, []string{"delete", "search_wiki"}}, "docs:admin wiki:read profile", docs + " " + wiki},
		"for another":                       {client(whole, docs, wiki), []string{"https://other.example.com"}, []Resources{resources}, true, nil, "", ""},
		"for nothing":                       {client(whole, docs, wiki), []string{}, []Resources{resources}, true, nil, "", ""},
		"the client has lost a scope":       {client([]string{"wiki:read"}, docs, wiki), nil, []Resources{resources}, true, &MCPClaim{[]string{docs, wiki}, []string{"search_wiki"}}, "wiki:read", docs + " " + wiki},
		"the client has lost a resource":    {client(whole, wiki), nil, []Resources{resources}, true, &MCPClaim{wiki, []string{"search_wiki"}}, "wiki:read", wiki},
		"the client has lost docs, for it":  {client(whole, wiki), []string{docs}, []Resources{resources}, true, nil, "", ""},
		"the client has lost all scopes":    {client(nil, docs, wiki), nil, []Resources{resources}, true, nil, "", ""},
		"the client has lost all resources": {client(whole), nil, []Resources{resources}, true, nil, "", ""},
		"the client has lost everything":    {client(nil), nil, []Resources{resources}, true, nil, "", ""},
		"without resources":                 {client([]string{"docs:admin"}, docs, wiki), []string{wiki}, nil, true, &MCPClaim{wiki, []string{"delete"}}, "docs:admin", docs + " " + wiki},
		"scopes by a pattern of the team's": {client([]string{"wiki:*"}, docs, wiki), nil, []Resources{resources}, false, &MCPClaim{[]string{docs, wiki}, []string{"search_wiki"}}, "wiki:read", docs + " " + wiki},
		"all that is known is a name":       {&fosite.DefaultClient{ID: "ci"}, []string{wiki}, []Resources{resources}, true, &MCPClaim{wiki, []string{"search_wiki"}}, "wiki:read", docs + " " + wiki},
		"nobody in particular (RFC 7521)":   {&fosite.DefaultClient{}, []string{wiki}, []Resources{resources}, true, &MCPClaim{wiki, []string{"search_wiki"}}, "wiki:read", docs + " " + wiki},
	} {
		t.Run(name, func(t *testing.T) {
			store := storage.NewMemoryStore()
			config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), AccessTokenLifespan: time.Hour}
			if c.exact {
				config.ScopeStrategy, config.AudienceMatchingStrategy = fosite.ExactScopeStrategy, exactAudience
			} else {
				config.ScopeStrategy = func(patterns []string, scope string) bool {
					return slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(scope, strings.TrimSuffix(p, "*")) })
				}
			}
			strategy := compose.NewOAuth2HMACStrategy(config)
			oauth := compose.Compose(config, store, strategy, compose.OAuth2TokenIntrospectionFactory, MCPSearchFactory(scopes, c.resources...), HookFactory())
			token, signature, err := strategy.GenerateAccessToken(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			stored := tokenFor(c.client, whole, []string{docs, wiki})
			stored.GrantedScope = append(fosite.Arguments(nil), whole...)
			stored.RequestedAt = time.Now()
			if err := store.CreateAccessTokenSession(t.Context(), signature, stored); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if c.asked != nil {
				ctx = ForResources(ctx, c.asked...)
			}
			_, request, err := oauth.IntrospectToken(ctx, token, fosite.AccessToken, NewSession())
			if c.want == nil {
				if err == nil {
					t.Fatalf("active, with the scopes %v; want it inactive", request.GetGrantedScopes())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range whole { // what the team needs for a call
				_, _, err := oauth.IntrospectToken(ctx, token, fosite.AccessToken, NewSession(), "", scope)
				if allowed := slices.Contains(strings.Fields(c.scope), scope); allowed != (err == nil) {
					t.Errorf("%s is needed: error %v, want allowed %v", scope, err, allowed)
				}
			}
			type told struct {
				claim           any
				scope, audience string
			}
			want := told{*c.want, c.scope, c.audience}
			got := told{request.GetSession().(*Session).GetExtraClaims()["mcp"], strings.Join(request.GetGrantedScopes(), " "), strings.Join(request.GetGrantedAudience(), " ")}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(told{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := stored.GetGrantedScopes(); len(again) != len(whole) {
				t.Errorf("what is stored was narrowed: %v", again)
			}
		})
	}
}

// A token that was narrowed by one hook must not grow again by the next one.
func TestAHookSeesTheTokenAsItCountsToday(t *testing.T) {
	var seen []string
	handler := hookFactory(Resources{}, func(_ context.Context, token fosite.AccessRequester) error {
		seen = token.GetGrantedScopes()
		return nil
	})(validating(&fosite.Config{ScopeStrategy: fosite.ExactScopeStrategy, AudienceMatchingStrategy: exactAudience}), nil, nil).(fosite.TokenIntrospector)
	token := tokenFor(&fosite.DefaultClient{ID: "ci", Scopes: []string{"mcp:search"}, Audience: []string{docs}}, []string{"mcp:search", "mcp:admin"}, []string{docs})
	_, _ = handler.IntrospectToken(t.Context(), "", fosite.AccessToken, token, nil)
	if strings.Join(seen, " ") != "mcp:search" {
		t.Errorf("the hook saw %v", seen)
	}
}
