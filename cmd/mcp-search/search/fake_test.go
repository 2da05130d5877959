package search

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"fosite-mcp/handlers/resource"
)

// authServer plays the authorization server: metadata, token and introspection
// endpoint. Tests change its tokens while it runs.
type authServer struct {
	*httptest.Server
	mu     sync.Mutex
	tokens map[string]map[string]any // token → introspection answer
	down   bool
}

func startAuthServer(t *testing.T) *authServer {
	a := &authServer{tokens: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": a.URL, "authorization_endpoint": a.URL + "/authorize", "token_endpoint": a.URL + "/token",
			"introspection_endpoint": a.URL + "/introspect", "response_types_supported": []string{"code"},
			"code_challenge_methods_supported":      []string{"S256"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("client_id") != "ci" || r.PostFormValue("client_secret") != "sesame" || r.PostFormValue("scope") != "mcp:search" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		writeJSON(w, map[string]any{"access_token": "both", "token_type": "Bearer", "expires_in": 1209600, "scope": "mcp:search"})
	})
	mux.HandleFunc("POST /introspect", a.introspect)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authServer) introspect(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id, secret, ok := r.BasicAuth(); !ok || id != "docs_search" || secret != "sesame" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if a.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	answer, ok := a.tokens[r.PostFormValue("token")]
	if !ok {
		answer = map[string]any{"active": false}
	}
	writeJSON(w, answer)
}

func (a *authServer) issue(token, audience, scope string, tools ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens[token] = map[string]any{
		"active": true, "client_id": "ci", "sub": "ci", "token_type": "Bearer", "scope": scope, "aud": []string{audience},
		"exp": time.Now().Add(time.Hour).Unix(), "mcp": map[string]any{"resource": audience, "tools": tools},
	}
}

func (a *authServer) revoke(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tokens, token)
}

func (a *authServer) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// startSearch runs the server under test against the authorization server, and
// returns the URL of its MCP endpoint, which is its identifier too.
func startSearch(t *testing.T, auth *authServer) string {
	t.Helper()
	return startSearchAs(t, auth, "")
}

// startSearchAs runs it under another identifier, as behind a proxy.
func startSearchAs(t *testing.T, auth *authServer, identifier string) string {
	t.Helper()
	return startSearchOf(t, auth, Service{Pages: load(t, library), Resource: identifier})
}

// startSearchOf runs a service, whose verifier and addresses it sets.
func startSearchOf(t *testing.T, auth *authServer, service Service) string {
	t.Helper()
	site := httptest.NewUnstartedServer(nil)
	endpoint := "http://" + site.Listener.Addr().String() + "/authed/mcp"
	if service.Resource == "" {
		service.Resource = endpoint
	}
	verifier, err := resource.NewIntrospector(resource.Config{
		Endpoint: auth.URL + "/introspect", ClientID: "docs_search", ClientSecret: "sesame", Resource: service.Resource,
	})
	if err != nil {
		t.Fatal(err)
	}
	service.Verifier, service.AuthorizationServer, service.Logger = verifier, auth.URL, slog.New(slog.DiscardHandler)
	site.Config.Handler, err = service.Handler()
	if err != nil {
		t.Fatal(err)
	}
	site.Start()
	t.Cleanup(site.Close)
	return endpoint
}

// bearer sends a token that can be exchanged while a session is open.
type bearer struct {
	mu    sync.Mutex
	token string
}

func (b *bearer) use(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.token = token
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	token := b.token
	b.mu.Unlock()
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return http.DefaultTransport.RoundTrip(r)
}

func connect(t *testing.T, endpoint, token string) (*mcp.ClientSession, *bearer, error) {
	t.Helper()
	credentials := &bearer{token: token}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: &http.Client{Transport: credentials}, MaxRetries: -1}, nil)
	if err == nil {
		t.Cleanup(func() { session.Close() })
	}
	return session, credentials, err
}

func mustConnect(t *testing.T, endpoint, token string) (*mcp.ClientSession, *bearer) {
	t.Helper()
	session, credentials, err := connect(t, endpoint, token)
	if err != nil {
		t.Fatal(err)
	}
	return session, credentials
}
