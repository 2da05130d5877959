package team

import (
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

// A team with a composition and a storage of its own adds nothing but the introspection hook.
func TestOnlyOurHookInTheirComposition(t *testing.T) {
	store := storage.NewMemoryStore()
	config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), AccessTokenLifespan: time.Hour}
	strategy := compose.NewOAuth2HMACStrategy(config)
	oauth := compose.Compose(config, store, strategy,
		compose.OAuth2ClientCredentialsGrantFactory,
		compose.OAuth2TokenIntrospectionFactory,
		provider.MCPSearchFactory(provider.DefaultScopes()),
	)
	issue := func(audience ...string) string {
		request := fosite.NewAccessRequest(&fosite.DefaultSession{})
		request.Client = &fosite.DefaultClient{ID: "machine"}
		request.GrantedScope, request.GrantedAudience = []string{"mcp:search"}, audience
		token, signature, err := strategy.GenerateAccessToken(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.CreateAccessTokenSession(t.Context(), signature, request); err != nil {
			t.Fatal(err)
		}
		return token
	}
	_, request, err := oauth.IntrospectToken(t.Context(), issue("https://docs.example.com/mcp"), fosite.AccessToken, &fosite.DefaultSession{})
	if err != nil {
		t.Fatal(err)
	}
	claim, ok := request.GetSession().(fosite.ExtraClaimsSession).GetExtraClaims()["mcp"].(provider.MCPClaim)
	if !ok || claim.Resource != "https://docs.example.com/mcp" || strings.Join(claim.Tools, " ") != "search get_page" {
		t.Errorf("mcp = %+v", claim)
	}
	if _, _, err := oauth.IntrospectToken(t.Context(), issue(), fosite.AccessToken, &fosite.DefaultSession{}); err == nil {
		t.Error("a token for MCP tools without an audience is active")
	}
}
