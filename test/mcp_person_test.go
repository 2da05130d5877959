package test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// The Go SDK's client for people is registered before, and starts from nothing but the MCP URL. Its refresh sends
// neither resource nor scope.
func TestTheGoSDKsClientForPeopleUsesTheSearchServer(t *testing.T) {
	for _, client := range []struct{ name, method string }{{"public", "none"}, {"confidential", "client_secret_post"}} {
		t.Run(client.name, func(t *testing.T) {
			s := startSite(t)
			id, secret := s.register(map[string]any{
				"client_name": "desktop app", "redirect_uris": []string{"http://127.0.0.1/callback"},
				"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": client.method,
			})
			credentials := &oauthex.ClientCredentials{ClientID: id, Issuer: "http://" + s.public}
			if secret != "" {
				credentials.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: secret}
			}
			session, source, logins := connectAsPerson(t, s, &auth.AuthorizationCodeHandlerConfig{PreregisteredClient: credentials, RequestRefreshToken: true})
			search := func() error {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "fosite"}})
				return err
			}
			if err := search(); err != nil {
				t.Fatal(err)
			}

			first := source.mustToken(t)
			source.expire(t)
			if err := search(); err != nil {
				t.Fatalf("after a refresh: %v", err)
			}
			second := source.mustToken(t)
			if second.AccessToken == first.AccessToken || *logins != 1 {
				t.Errorf("%d logins; the same access token: %t", *logins, second.AccessToken == first.AccessToken)
			}

			// What the person withdraws is dead at once. The client has to ask again.
			s.run("", "consent", "revoke", "--username", s.username, "--client-id", id, "--yes")
			if err := search(); err != nil || *logins != 2 {
				t.Errorf("after the withdrawal: %d logins, %v", *logins, err)
			}
			if status := s.mcpStatus(second.AccessToken); status != http.StatusUnauthorized {
				t.Errorf("the withdrawn token: status %d, want 401", status)
			}
		})
	}
}

// A call that needs more than the token allows is answered with 403. The Go SDK's client then asks the person for what the challenge
// names, and goes on with the new token (step-up).
func TestTheGoSDKsClientStepsUp(t *testing.T) {
	t.Setenv("MCP_SEARCH_TOOL_SCOPE", "get_page=docs:read")
	server, resource := startSearch(t, func(environment ...string) *server {
		for i := range environment {
			environment[i] = strings.ReplaceAll(environment[i], `["mcp:search"]`, `["mcp:search","docs:read"]`)
		}
		return startServer(t, binaries, append(environment, `FOSITE_MCP_SCOPES={"mcp:search":{"tools":["search","get_page"]},"docs:read":{}}`)...)
	})
	s := &site{server, resource, "ada", "correct horse battery staple"}
	s.run(s.password+"\n", "user", "create", "--username", s.username, "--password-file", "-")
	id, _ := s.register(map[string]any{"client_name": "desktop app", "redirect_uris": []string{"http://127.0.0.1/callback"},
		"grant_types": []string{"authorization_code"}, "token_endpoint_auth_method": "none", "scope": "mcp:search docs:read"})
	session, source, logins := connectAsPerson(t, s, &auth.AuthorizationCodeHandlerConfig{PreregisteredClient: &oauthex.ClientCredentials{ClientID: id, Issuer: "http://" + s.public}})
	search := &mcp.CallToolParams{Name: "search", Arguments: map[string]any{"query": "fosite"}}
	if _, err := session.CallTool(t.Context(), search); err != nil || *logins != 1 {
		t.Fatalf("a call that needs nothing more: %d logins, %v", *logins, err)
	}
	first := source.mustToken(t).AccessToken
	page, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_page", Arguments: map[string]any{"path": "jwt.md"}})
	if err != nil || page.IsError || *logins != 2 || source.mustToken(t).AccessToken == first {
		t.Fatalf("a call that needs more: %d logins, %+v, %v", *logins, page, err)
	}
	if _, err := session.CallTool(t.Context(), search); err != nil || *logins != 2 {
		t.Errorf("the first call again: %d logins, %v", *logins, err)
	}
}

// personsRedirect is where nobody listens: the answer is read from the redirect.
const personsRedirect = "http://127.0.0.1:53682/callback"

// connectAsPerson connects the Go SDK's client for people, from nothing but the URL of the MCP server and how it gets in. It counts
// the logins.
func connectAsPerson(t *testing.T, s *site, config *auth.AuthorizationCodeHandlerConfig) (session *mcp.ClientSession, source *expiringSource, logins *int) {
	t.Helper()
	ada := newPerson(t, s.username, s.password)
	source, logins = new(expiringSource), new(int)
	config.RedirectURL, config.NewTokenSource = personsRedirect, source.start
	config.AuthorizationCodeFetcher = func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		*logins++
		answer, err := ada.allow(ctx, args.URL, personsRedirect)
		return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, err
	}
	handler, err := auth.NewAuthorizationCodeHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	session, err = mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.resource, OAuthHandler: handler, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session, source, logins
}

// expiringSource is the token source of x/oauth2, whose access token can be made to look expired.
type expiringSource struct {
	mu      sync.Mutex
	from    func(*oauth2.Token) oauth2.TokenSource
	current oauth2.TokenSource
}

func (s *expiringSource) start(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = func(token *oauth2.Token) oauth2.TokenSource { return config.TokenSource(ctx, token) }
	s.current = s.from(token)
	return s, nil
}

// Token implements oauth2.TokenSource.
func (s *expiringSource) Token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.Token()
}

func (s *expiringSource) expire(t *testing.T) {
	t.Helper()
	token := *s.mustToken(t)
	token.Expiry = time.Now().Add(-time.Minute)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = s.from(&token)
}

func (s *expiringSource) mustToken(t *testing.T) *oauth2.Token {
	t.Helper()
	token, err := s.Token()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// mcpStatus is the status that the MCP server answers to a bearer of token.
func (s *site) mcpStatus(token string) int {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	status, _ := send(s.t, r)
	return status
}
