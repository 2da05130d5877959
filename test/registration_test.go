package test

import (
	"context"
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
			const redirect = "http://127.0.0.1:53682/callback" // nobody listens there: the answer is read from the redirect
			ada, logins := newPerson(t, s.username, s.password), 0
			source := new(expiringSource)
			handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
				DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
					ClientName: "newcomer", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: method,
				}},
				RequestRefreshToken: true,
				AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
					logins++
					answer, err := ada.allow(ctx, args.URL, redirect)
					return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, err
				},
				NewTokenSource: source.start,
			})
			if err != nil {
				t.Fatal(err)
			}
			session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
				Endpoint: s.resource, OAuthHandler: handler, MaxRetries: -1, DisableStandaloneSSE: true,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
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
			if second := source.mustToken(t); second.AccessToken == first.AccessToken || logins != 1 {
				t.Errorf("%d logins; the same access token: %t", logins, second.AccessToken == first.AccessToken)
			}
			if status := s.mcpStatus(source.mustToken(t).AccessToken); status != http.StatusOK {
				t.Errorf("the token: status %d, want 200", status)
			}
		})
	}
}
