package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// startSearch runs the sample MCP server beside an authorization server that knows its resource, and returns its URL.
func startSearch(t *testing.T, start func(environment ...string) *server) (s *server, resource string) {
	t.Helper()
	address := freeAddress(t)
	resource = "http://" + address + "/authed/mcp"
	s = start(`FOSITE_MCP_RESOURCES={"` + resource + `":{"name":"Documentation","scopes":["mcp:search"]}}`)
	id, secret := s.register(map[string]any{"client_name": "docs search", "introspects": []string{resource}})
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(filepath.Dir(s.binary), "mcp-search"), "--listen", address, "--docs", "../docs",
		"--issuer", "http://"+s.public, "--client-id", id, "--client-secret-file", secretFile)
	log := new(lockedBuffer)
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	waitFor(t, "http://"+address+"/.well-known/oauth-protected-resource/authed/mcp", log)
	return s, resource
}

// The Go SDK's machine client posts its secret, sends no resource, and starts from nothing but the MCP URL and its
// credentials.
func TestTheGoSDKsMachineClientUsesTheSearchServer(t *testing.T) {
	s, resource := startSearch(t, func(environment ...string) *server { return startServer(t, binaries, environment...) })
	id, secret := s.register(map[string]any{"client_name": "agent"})
	credentials, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{Credentials: &oauthex.ClientCredentials{
		ClientID: id, Issuer: "http://" + s.public, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tokens := &recorder{next: http.DefaultTransport}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: resource, OAuthHandler: credentials, HTTPClient: &http.Client{Transport: tokens}, MaxRetries: -1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 2 {
		t.Fatalf("tools: %+v, %v", tools, err)
	}
	for name, arguments := range map[string]any{
		"search":   map[string]any{"query": "fosite"},
		"get_page": map[string]any{"path": "configuration.md"},
	} {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
		if err != nil || result.IsError || len(result.Content) == 0 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	// The admin takes it back: the very next call is refused, and so is the client when it asks for another token.
	token := tokens.last()
	if token == "" {
		t.Fatal("no token was seen")
	}
	s.run(token, "token", "revoke", "--token-file", "-")
	r, err := http.NewRequest(http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if status, _ := send(t, r); status != http.StatusUnauthorized {
		t.Errorf("after the revocation: status %d, want 401", status)
	}
	s.run("", "client", "delete", id, "--yes")
	if _, err := session.ListTools(t.Context(), nil); err == nil {
		t.Error("the deleted client still lists tools")
	}
}

// recorder remembers the last bearer token that went to the MCP server.
type recorder struct {
	next  http.RoundTripper
	token lockedBuffer
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	if token, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer "); ok {
		r.token.mu.Lock()
		r.token.buffer.Reset()
		r.token.buffer.WriteString(token)
		r.token.mu.Unlock()
	}
	return r.next.RoundTrip(request)
}

func (r *recorder) last() string { return r.token.String() }
