package test

import (
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// The Go SDK's client for people registers itself, and goes from the MCP URL to a tool call and through a refresh.
func TestTheGoSDKsClientRegistersItself(t *testing.T) {
	for _, method := range []string{"none", "client_secret_basic", ""} {
		t.Run("token_endpoint_auth_method "+method, func(t *testing.T) {
			s := startSite(t, "FOSITE_MCP_REGISTRATION_ENABLED=true")
			session, source, logins := connectAsPerson(t, s, &auth.AuthorizationCodeHandlerConfig{
				DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
					ClientName: "newcomer", RedirectURIs: []string{personsRedirect}, TokenEndpointAuthMethod: method,
				}},
				RequestRefreshToken: true,
			})
			search := func() {
				t.Helper()
				result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "fosite"}})
				if err != nil || result.IsError || len(result.Content) == 0 {
					t.Fatalf("%+v, %v", result, err)
				}
			}
			search()
			first := source.mustToken(t)
			source.expire(t)
			search()
			if second := source.mustToken(t); second.AccessToken == first.AccessToken || *logins != 1 {
				t.Errorf("%d logins; the same access token: %t", *logins, second.AccessToken == first.AccessToken)
			}
			if status := s.mcpStatus(source.mustToken(t).AccessToken); status != http.StatusOK {
				t.Errorf("the token: status %d, want 200", status)
			}
		})
	}
}
