package team

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

import "fosite-mcp/handlers/resource"

// The parts as the README shows them, used over HTTP: their composition and router, our storage, policy, hook,
// endpoints and middleware.
func TestTheREADMEsPartsFitTogether(t *testing.T) {
	ctx := t.Context()
	db, err := gorm.Open(sqlite.Open("file:" + filepath.Join(t.TempDir(), "team.db") + "?_journal_mode=WAL"))
	if err != nil {
		t.Fatal(err)
	}
	const docs = "https://docs.example.com/authed/mcp"
	config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), HashCost: 4}
	config.ClientSecretsHasher = &fosite.BCrypt{Config: config}
	if _, err := provider.Harden(config); err != nil {
		t.Fatal(err)
	}
	strategy := compose.NewOAuth2HMACStrategy(config)

	oauth, store, err := composition(ctx, db, config, strategy, docs)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := config.ClientSecretsHasher.Hash(ctx, []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	err = store.Clients().Create(ctx, &client.Client{
		ID: "machine", GrantTypes: []string{"client_credentials"}, Scope: []string{"mcp:search"}, Audience: []string{docs},
		Introspects: []string{docs}, Secrets: []client.Secret{{Hash: hash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	newSession := func() fosite.Session { return &fosite.DefaultSession{} }
	if err := endpoints(router, oauth, newSession, "https://auth.example.com"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(router)
	defer server.Close()

	protected := http.NewServeMux()
	if err := protect(protected, server.URL+"/oauth2/introspect", "machine", "sesame"); err != nil {
		t.Fatal(err)
	}
	call := func(token string) int {
		r := httptest.NewRequest(http.MethodPost, "https://docs.example.com/authed/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
		w := httptest.NewRecorder()
		protected.ServeHTTP(w, r)
		return w.Code
	}
	answer := post(t, server.URL+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	token, _ := answer["access_token"].(string)
	if answer["scope"] != "mcp:search" || answer["expires_in"] != float64(1209600) {
		t.Errorf("token answer: %v", answer)
	}
	if status := call(token); status != http.StatusOK {
		t.Errorf("with the token: status %d", status)
	}
	post(t, server.URL+"/oauth2/revoke", url.Values{"token": {token}})
	if status := call(token); status != http.StatusUnauthorized {
		t.Errorf("after its revocation: status %d", status)
	}
	answer = post(t, server.URL+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	token, _ = answer["access_token"].(string)
	machine, err := store.Clients().Find(ctx, "machine")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Clients().RevokeSecret(ctx, "machine", machine.Secrets[0].ID); err != nil {
		t.Fatal(err)
	}
	if status := call(token); status != http.StatusUnauthorized {
		t.Errorf("after the revocation of all tokens of its secret: status %d", status)
	}
	response, err := http.Get(server.URL + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("metadata: status %d", response.StatusCode)
	}
}

func composition(ctx context.Context, db *gorm.DB, config *fosite.Config, strategy any, mcp string) (fosite.OAuth2Provider, *storage.Store, error) {
	// mcp is the URL of your MCP server
	resources := provider.Resources{Known: []string{mcp}, Default: mcp}
	store := storage.New(db, // any *gorm.DB, with its TablePrefix, plugins and logger
		storage.WithSessions(&fosite.DefaultSession{})) // your session type; storage.WithClients(yours) keeps your clients
	err := store.Migrate(ctx)
	config.ClientAuthenticationStrategy = (&provider.ClientAuthenticator{ // so that a secret taken back ends its tokens; for keys set Audiences
		Store: store, Hasher: config.ClientSecretsHasher}).Authenticate
	oauth := compose.Compose(config, store, strategy,
		provider.ClientCredentialsFactory(provider.Grants{Resources: resources}), // resource becomes audience
		compose.OAuth2TokenIntrospectionFactory,
		provider.MCPSearchFactory(provider.DefaultScopes(), resources), // after the core validator
		provider.RevocationFactory)
	return oauth, store, err
}

func endpoints(router *mux.Router, oauth fosite.OAuth2Provider, newSession func() fosite.Session, issuer string) error {
	server := &handlers.Server{Provider: oauth, NewSession: newSession, Issuer: issuer}
	if err := server.Mount(router.PathPrefix("/oauth2").Subrouter()); err != nil {
		return err
	}
	return handlers.MountWellKnown(router, handlers.Metadata{Server: server, Endpoints: issuer + "/oauth2"}) // on the root router
}

func protect(mux *http.ServeMux, endpoint, id, secret string) error {
	server := mcp.NewServer(&mcp.Implementation{Name: "docs", Version: "1"}, nil)
	verifier, err := resource.NewIntrospector(resource.Config{
		Endpoint:     endpoint,
		ClientID:     id,
		ClientSecret: secret,
		Resource:     "https://docs.example.com/authed/mcp", // what tokens must be for
	})
	if err != nil {
		return err
	}
	mcpHandler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true}) // a session would keep the rights of its first token
	mux.Handle("/authed/mcp", resource.RequireBearer(verifier, "mcp:search")(mcpHandler))
	return nil
}
