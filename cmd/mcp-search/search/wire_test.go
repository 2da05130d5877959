package search

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const metadataPath = "/.well-known/oauth-protected-resource/authed/mcp"

const callSearch = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"token"}}}`

func post(t *testing.T, method, endpoint, token, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, endpoint, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

func TestAnswersOfTheEndpointOnTheWire(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search", "get_page")
	auth.issue("unscoped", endpoint, "mcp:other", "search", "get_page")
	auth.issue("elsewhere", "https://other.example.com/mcp", Scope, "search", "get_page")
	origin := strings.TrimSuffix(endpoint, "/authed/mcp")
	challenge := `Bearer resource_metadata="` + origin + metadataPath + `", scope="mcp:search"`
	for _, tc := range []struct {
		name, method, token string
		status              int
		challenge           string
	}{
		{"POST without a token", "POST", "", 401, challenge},
		{"GET without a token", "GET", "", 401, challenge},
		{"DELETE without a token", "DELETE", "", 401, challenge},
		{"unknown token", "POST", "garbage", 401, challenge + `, error="invalid_token"`},
		{"token for another resource", "POST", "elsewhere", 401, challenge + `, error="invalid_token"`},
		{"token without the scope", "POST", "unscoped", 403, challenge + `, error="insufficient_scope"`},
		{"good token", "POST", "both", 200, ""},
		{"GET: there are no streams", "GET", "both", 405, ""},
		{"DELETE: there are no sessions", "DELETE", "both", 405, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := post(t, tc.method, endpoint, tc.token, callSearch)
			got := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != tc.status || !strings.HasPrefix(got, tc.challenge) || tc.challenge == "" && got != "" {
				t.Errorf("%d %q, want %d %q\n%s", resp.StatusCode, got, tc.status, tc.challenge, body)
			}
			if tc.challenge == challenge && got != challenge {
				t.Errorf("the challenge names an error before the client made one: %q", got)
			}
			if _, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate")); err != nil {
				t.Errorf("the SDK cannot read the challenge: %v", err)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Mcp-Session-Id") != "" {
				t.Errorf("headers %v", resp.Header)
			}
		})
	}
	auth.setDown(true)
	if resp, _ := post(t, "POST", endpoint, "both", callSearch); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("during an outage: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestSessionIDOfAnotherClientOpensNothing(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("none", endpoint, Scope)
	resp, body := post(t, "POST", endpoint, "none", callSearch, "Mcp-Session-Id", "stolen")
	if resp.StatusCode != 200 || !strings.Contains(body, "does not allow the tool") {
		t.Errorf("%d %s, want the answer that the token gets without a session", resp.StatusCode, body)
	}
}

func TestBatchAndStreamDoNotGetAroundTheToken(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("none", endpoint, Scope)
	if _, body := post(t, "POST", endpoint, "none", "["+callSearch+"]"); !strings.Contains(body, "does not allow the tool") {
		t.Errorf("a batch was answered with %s", body)
	}
	const listen = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
	_, body := post(t, "POST", endpoint, "none", listen, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
	if !strings.Contains(body, "method not found") {
		t.Errorf("a subscription was answered with %s", body)
	}
}

func TestOversizedRequestIsRefused(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	auth.issue("both", endpoint, Scope, "search")
	if resp, _ := post(t, "POST", endpoint, "both", strings.Repeat(" ", maxRequest)+callSearch); resp.StatusCode != 413 {
		t.Errorf("status %d, want 413", resp.StatusCode)
	}
}

func TestMetadataAndHealthNeedNoToken(t *testing.T) {
	auth := startAuthServer(t)
	endpoint := startSearch(t, auth)
	origin := strings.TrimSuffix(endpoint, "/authed/mcp")
	prm, err := oauthex.GetProtectedResourceMetadata(t.Context(), origin+metadataPath, endpoint, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	want := &oauthex.ProtectedResourceMetadata{
		Resource: endpoint, AuthorizationServers: []string{auth.URL}, ScopesSupported: []string{Scope},
		BearerMethodsSupported: []string{"header"}, ResourceName: "Documentation search",
	}
	if diff := cmp.Diff(want, prm); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	for path, status := range map[string]int{
		"/livez": 200, "/": 404, "/authed": 404, "/authed/mcp/": 404, "//authed/mcp": 404, "/authed/%6dcp": 404,
		"/.well-known/oauth-protected-resource": 404,
	} {
		if resp, _ := post(t, "GET", origin+path, "", ""); resp.StatusCode != status {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, status)
		}
	}
}

func TestForeignHostIsRefusedUnlessItIsTheResourcesOwn(t *testing.T) {
	const public = "https://docs.example.com/authed/mcp"
	auth := startAuthServer(t)
	local, proxied := startSearch(t, auth), startSearchAs(t, auth, public)
	auth.issue("local", local, Scope, "search")
	auth.issue("public", public, Scope, "search")
	for _, tc := range []struct {
		name, endpoint, token string
		status                int
	}{
		{"rebound name on a local server", local, "local", 403},
		{"public name passed on by a proxy", proxied, "public", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", tc.endpoint, strings.NewReader(callSearch))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "docs.example.com"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Authorization", "Bearer "+tc.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, resp.StatusCode, tc.status)
		}
	}
}
