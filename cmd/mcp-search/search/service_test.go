package search

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"fosite-mcp/handlers/resource"
)

func call(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) (*mcp.CallToolResult, error) {
	t.Helper()
	return session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
}

func textOf(t *testing.T, result *mcp.CallToolResult) string {
	t.Helper()
	text, ok := result.Content[0].(*mcp.TextContent)
	if !ok {
		t.Fatalf("content %T, want text", result.Content[0])
	}
	return text.Text
}

func toolNames(t *testing.T, session *mcp.ClientSession) []string {
	t.Helper()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func TestClientSearchesAndReadsAPage(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search", "get_page")
	session, _ := mustConnect(t, endpoint, "both")

	if diff := cmp.Diff([]string{"get_page", "search"}, toolNames(t, session)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if _, announced := session.InitializeResult().Capabilities.Extensions["io.modelcontextprotocol/oauth-client-credentials"]; !announced {
		t.Error("machines are not told that they may come with client credentials")
	}
	result, err := call(t, session, "search", map[string]any{"query": "revocation", "limit": 1})
	if err != nil || result.IsError {
		t.Fatalf("search: %+v, %v", result, err)
	}
	var found searchOutput
	if err := json.Unmarshal([]byte(textOf(t, result)), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Hits) != 1 || found.Hits[0].Path != "revocation.md" || result.StructuredContent == nil {
		t.Fatalf("search found %+v", found)
	}
	result, err = call(t, session, "get_page", map[string]any{"path": found.Hits[0].Path})
	if err != nil || result.IsError || textOf(t, result) != library["revocation.md"] {
		t.Errorf("get_page: %+v, %v", result, err)
	}
	result, err = call(t, session, "search", map[string]any{"query": "quantum"})
	if err != nil || result.IsError || textOf(t, result) != `{"hits":[]}` {
		t.Errorf("search without hits: %+v, %v", result, err)
	}
}

func TestBadArgumentsAreToolErrorsThatSayWhatToDo(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search", "get_page")
	session, _ := mustConnect(t, endpoint, "both")
	for _, tc := range []struct {
		name, tool string
		arguments  map[string]any
		want       string
	}{
		{"traversal", "get_page", map[string]any{"path": "../../../../etc/passwd"}, "there is no page"},
		{"absolute path", "get_page", map[string]any{"path": "/etc/passwd"}, "there is no page"},
		{"unknown page", "get_page", map[string]any{"path": "none.md"}, "a path that search returned"},
		{"very long path", "get_page", map[string]any{"path": strings.Repeat("a/", 10000)}, "there is no page"},
		{"empty query", "search", map[string]any{"query": "  "}, "query is empty"},
		{"no query", "search", map[string]any{}, "query"},
		{"query of another type", "search", map[string]any{"query": 5}, "query"},
		{"unknown argument", "search", map[string]any{"query": "a", "folder": "/etc"}, "folder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result, err := call(t, session, tc.tool, tc.arguments)
			if err != nil {
				t.Fatal(err)
			}
			if text := textOf(t, result); !result.IsError || !strings.Contains(text, tc.want) || len(text) > 1000 {
				t.Errorf("got %v %q, want an error about %q", result.IsError, text, tc.want)
			}
		})
	}
}

func TestRevokedTokenIsRefusedAtTheNextCallOfAnOpenSession(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search", "get_page")
	session, _ := mustConnect(t, endpoint, "both")
	if _, err := call(t, session, "search", map[string]any{"query": "token"}); err != nil {
		t.Fatal(err)
	}
	auth.revoke("both")
	_, err := call(t, session, "search", map[string]any{"query": "token"})
	if err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusUnauthorized)) {
		t.Errorf("after the revocation: %v, want 401", err)
	}
}

func TestOutageIsNotARevocation(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search", "get_page")
	session, _ := mustConnect(t, endpoint, "both")
	auth.setDown(true)
	_, err := call(t, session, "search", map[string]any{"query": "token"})
	if err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusServiceUnavailable)) {
		t.Errorf("during the outage: %v, want 503", err)
	}
	auth.setDown(false)
	if _, err := call(t, session, "search", map[string]any{"query": "token"}); err != nil {
		t.Errorf("the same session after the outage: %v", err)
	}
}

func TestTokenUsesAndSeesOnlyItsTools(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("searcher", endpoint, Scope, "search")
	auth.issue("none", endpoint, Scope)
	auth.issue("both", endpoint, Scope, "search", "get_page")

	session, credentials := mustConnect(t, endpoint, "searcher")
	if diff := cmp.Diff([]string{"search"}, toolNames(t, session)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if _, err := call(t, session, "search", map[string]any{"query": "token"}); err != nil {
		t.Error(err)
	}
	if _, err := call(t, session, "get_page", map[string]any{"path": "tokens.md"}); err == nil || !strings.Contains(err.Error(), `does not allow the tool "get_page"`) {
		t.Errorf("get_page: %v", err)
	}
	// What counts is the token of each request, not that of the first one.
	credentials.use("none")
	if _, err := call(t, session, "search", map[string]any{"query": "token"}); err == nil || !strings.Contains(err.Error(), "does not allow") {
		t.Errorf("search with a token without tools: %v", err)
	}
	credentials.use("both")
	if _, err := call(t, session, "get_page", map[string]any{"path": "tokens.md"}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"get_page", "search"}, toolNames(t, session)); diff != "" {
		t.Errorf("tools after another token had fewer (-want +got):\n%s", diff)
	}
}

// The SDK's machine client starts from nothing but the URL and its credentials.
func TestMachineClientOfTheSDKFindsItsWay(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search", "get_page")
	credentials, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{Credentials: &oauthex.ClientCredentials{
		ClientID: "ci", Issuer: auth.URL, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: "sesame"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: credentials}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if diff := cmp.Diff([]string{"get_page", "search"}, toolNames(t, session)); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if result, err := call(t, session, "get_page", map[string]any{"path": "tokens.md"}); err != nil || result.IsError {
		t.Errorf("get_page: %+v, %v", result, err)
	}
}

func TestServerThatIsNotCompleteIsRefused(t *testing.T) {
	pages := load(t, library)
	var verifier resource.Verifier = (*resource.Introspector)(nil)
	for name, s := range map[string]Service{
		"no pages":                {Verifier: verifier, Resource: "https://a.example/mcp", AuthorizationServer: "https://b.example"},
		"no verifier":             {Pages: pages, Resource: "https://a.example/mcp", AuthorizationServer: "https://b.example"},
		"no resource":             {Pages: pages, Verifier: verifier, AuthorizationServer: "https://b.example"},
		"no authorization server": {Pages: pages, Verifier: verifier, Resource: "https://a.example/mcp"},
	} {
		if _, err := s.Handler(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
