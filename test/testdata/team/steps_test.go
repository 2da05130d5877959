package team

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/resource"
	"fosite-mcp/provider"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	memory "github.com/ory/fosite/storage"
	"gorm.io/gorm"
)

// A team's own server takes our parts one after the other. After each step the same things work.

// Account is a client in the team's own table.
type Account struct {
	ID, Tenant string
	Secret     []byte
	Disabled   bool
}

func (Account) TableName() string { return "accounts" }

func (a *Account) GetID() string                      { return a.ID }
func (a *Account) GetName() string                    { return "The " + a.ID }
func (a *Account) GetHashedSecret() []byte            { return a.Secret }
func (a *Account) GetRedirectURIs() []string          { return nil }
func (a *Account) GetGrantTypes() fosite.Arguments    { return fosite.Arguments{"client_credentials"} }
func (a *Account) GetResponseTypes() fosite.Arguments { return nil }
func (a *Account) GetScopes() fosite.Arguments        { return fosite.Arguments{"mcp:search"} }
func (a *Account) GetAudience() fosite.Arguments      { return fosite.Arguments{docs} }
func (a *Account) IsPublic() bool                     { return false }
func (a *Account) IsDisabled() bool                   { return a.Disabled }

// GetIntrospects makes docs the resource server.
func (a *Account) GetIntrospects() []string {
	if a.ID != "docs" {
		return nil
	}
	return []string{docs}
}

var (
	_ fosite.Client                 = (*Account)(nil)
	_ handlers.ResourceServerClient = (*Account)(nil)
	_ handlers.NamedClient          = (*Account)(nil)
	_ provider.ClientWithStatus     = (*Account)(nil)
)

// accounts finds them.
type accounts struct{ db *gorm.DB }

func (a accounts) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	var account Account
	found := a.db.WithContext(ctx).Limit(1).Find(&account, "id = ?", id)
	if found.Error == nil && found.RowsAffected == 0 {
		return nil, fosite.ErrNotFound
	}
	return &account, found.Error
}

func (accounts) ClientAssertionJWTValid(context.Context, string) error { return nil }
func (accounts) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return nil
}

// Tenancy is the team's own session: what it says of itself is made anew each time.
type Tenancy struct {
	fosite.DefaultSession
	Tenant string
}

func (s *Tenancy) Clone() fosite.Session { c := *s; return &c }

func (s *Tenancy) GetExtraClaims() map[string]any { return map[string]any{"tenant": s.Tenant} }

func newTenancy() fosite.Session { return &Tenancy{} }

// server is the team's, as far as it has come.
type server struct {
	*team
	*fosite.Config
	store     fosite.Storage
	resources provider.Resources
	http.Handler
}

// begin is the server before the first step: fosite's store in memory, fosite's grants, fosite's endpoints.
func begin(t *testing.T, db *team) *server {
	t.Helper()
	if err := db.AutoMigrate(&Account{}); err != nil {
		t.Fatal(err)
	}
	config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), HashCost: 4, AccessTokenLifespan: time.Hour}
	config.ClientSecretsHasher = &fosite.BCrypt{Config: config}
	hash, err := config.ClientSecretsHasher.Hash(t.Context(), []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []Account{{ID: "machine", Tenant: "acme", Secret: hash}, {ID: "docs", Secret: hash}} {
		if err := db.Create(&account).Error; err != nil {
			t.Fatal(err)
		}
	}
	store := memory.NewMemoryStore()
	for _, id := range []string{"machine", "docs"} {
		client, err := accounts{db.DB}.GetClient(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		store.Clients[id] = client
	}
	return &server{team: db, Config: config, store: store}
}

// compose gives the server a composition of its own: a fosite.Config is composed once.
func (s *server) compose(factories ...compose.Factory) fosite.OAuth2Provider {
	config := *s.Config
	config.TokenEndpointHandlers, config.TokenIntrospectionHandlers, config.RevocationHandlers = nil, nil, nil
	s.Config = &config
	return compose.Compose(s.Config, s.store, compose.NewOAuth2HMACStrategy(s.Config), factories...)
}

// fositesEndpoints serves what the team had written before.
func (s *server) fositesEndpoints(hooks ...compose.Factory) {
	oauth := s.compose(append([]compose.Factory{compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2TokenIntrospectionFactory,
		compose.OAuth2TokenRevocationFactory}, hooks...)...)
	endpoints := http.NewServeMux()
	endpoints.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		request, err := oauth.NewAccessRequest(r.Context(), r, newTenancy())
		if err != nil {
			oauth.WriteAccessError(r.Context(), w, request, err)
			return
		}
		request.GetSession().(*Tenancy).Tenant = request.GetClient().(*Account).Tenant
		request.GrantScope("mcp:search")
		request.GrantAudience(docs)
		response, err := oauth.NewAccessResponse(r.Context(), request)
		if err != nil {
			oauth.WriteAccessError(r.Context(), w, request, err)
			return
		}
		oauth.WriteAccessResponse(r.Context(), w, request, response)
	})
	endpoints.HandleFunc("/introspect", func(w http.ResponseWriter, r *http.Request) {
		answer, err := oauth.NewIntrospectionRequest(r.Context(), r, newTenancy())
		if err != nil {
			oauth.WriteIntrospectionError(r.Context(), w, err)
			return
		}
		oauth.WriteIntrospectionResponse(r.Context(), w, answer)
	})
	endpoints.HandleFunc("/revoke", func(w http.ResponseWriter, r *http.Request) {
		oauth.WriteRevocationResponse(r.Context(), w, oauth.NewRevocationRequest(r.Context(), r))
	})
	s.Handler = endpoints
}

// ourEndpoints serves ours, with a tenant that comes from the client.
func (s *server) ourEndpoints(t *testing.T) {
	t.Helper()
	s.Config.ClientAuthenticationStrategy = (&provider.ClientAuthenticator{Store: s.store, Hasher: s.ClientSecretsHasher}).Authenticate
	oauth := s.compose(provider.ClientCredentialsFactory(provider.Grants{Resources: s.resources}), compose.OAuth2TokenIntrospectionFactory,
		provider.MCPSearchFactory(provider.DefaultScopes(), s.resources), provider.RevocationFactory)
	router := mux.NewRouter()
	err := (&handlers.Server{
		Provider: oauth, NewSession: newTenancy,
		FillSession: func(_ context.Context, request fosite.Requester) error {
			request.GetSession().(*Tenancy).Tenant = request.GetClient().(*Account).Tenant
			return nil
		},
	}).Mount(router)
	if err != nil {
		t.Fatal(err)
	}
	s.Handler = router
}

// ask posts a form as a client, and returns the status and the members of the answer.
func (s *server) ask(t *testing.T, client, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := request(form)
	r.URL.Path = path
	r.SetBasicAuth(client, "sesame")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var members map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &members); err != nil {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	return w.Code, members
}

func (s *server) issue(t *testing.T) string {
	t.Helper()
	status, answer := s.ask(t, "machine", "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"mcp:search"}})
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" || answer["scope"] != "mcp:search" {
		t.Fatalf("token: %d %v", status, answer)
	}
	return token
}

// works is what the team expects after each step.
func (s *server) works(t *testing.T) {
	t.Helper()
	token, other := s.issue(t), s.issue(t)
	for _, live := range []string{token, other} {
		_, answer := s.ask(t, "docs", "/introspect", url.Values{"token": {live}})
		mcp, _ := answer["mcp"].(map[string]any)
		if answer["active"] != true || answer["client_id"] != "machine" || answer["tenant"] != "acme" || mcp["resource"] != docs || fmt.Sprint(mcp["tools"]) != "[search get_page]" {
			t.Fatalf("introspection: %v", answer)
		}
	}
	if status, answer := s.ask(t, "machine", "/revoke", url.Values{"token": {token}}); status != http.StatusOK {
		t.Fatalf("revocation: %d %v", status, answer)
	}
	for dead, active := range map[string]bool{token: false, other: true} {
		if _, answer := s.ask(t, "docs", "/introspect", url.Values{"token": {dead}}); answer["active"] != active {
			t.Errorf("after a revocation: %v, want active %v", answer, active)
		}
	}
}

func TestATeamTakesThePartsOneByOne(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		s := begin(t, db)
		s.fositesEndpoints()
		var store *storage.Store
		for _, step := range []struct {
			name string
			take func(t *testing.T)
		}{
			{"the hook", func(*testing.T) { s.fositesEndpoints(provider.MCPSearchFactory(provider.DefaultScopes())) }},
			{"the storage", func(t *testing.T) {
				store = storage.New(db.DB, storage.WithClients(accounts{db.DB}), storage.WithSessions(&Tenancy{}))
				if err := store.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n, err := carryOver(t.Context(), store, s.store.(*memory.MemoryStore).AccessTokens, nil); err != nil || n == 0 {
					t.Fatalf("%d tokens were carried over: %v", n, err)
				}
				s.store = store
				s.fositesEndpoints(provider.MCPSearchFactory(provider.DefaultScopes()))
			}},
			{"the endpoints", func(t *testing.T) { s.ourEndpoints(t) }},
			{"resources of a table", func(t *testing.T) {
				s.resources = provider.Resources{Source: tableOfResources(t, db)}
				s.ourEndpoints(t)
			}},
			{"hardening", func(t *testing.T) {
				if _, err := provider.Harden(s.Config); err != nil {
					t.Fatal(err)
				}
				s.ourEndpoints(t)
			}},
			{"the middleware", func(t *testing.T) { s.protects(t) }},
			{"housekeeping", func(t *testing.T) {
				if err := store.Maintain(t.Context(), storage.Maintenance{}); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			t.Run(step.name, func(t *testing.T) {
				live := s.issue(t)
				step.take(t)
				if _, answer := s.ask(t, "docs", "/introspect", url.Values{"token": {live}}); answer["active"] != true {
					t.Errorf("a token from before the step: %v", answer)
				}
				s.works(t)
			})
		}
		t.Run("a resource that is gone", func(t *testing.T) {
			token := s.issue(t)
			if err := db.Exec("DELETE FROM sites").Error; err != nil {
				t.Fatal(err)
			}
			if _, answer := s.ask(t, "docs", "/introspect", url.Values{"token": {token}}); answer["active"] != false {
				t.Errorf("introspection: %v", answer)
			}
			if status, answer := s.ask(t, "machine", "/token", url.Values{"grant_type": {"client_credentials"}}); status != http.StatusBadRequest || answer["error"] != "invalid_target" {
				t.Errorf("token: %d %v", status, answer)
			}
		})
		t.Run("a table that does not answer", func(t *testing.T) {
			if err := db.Migrator().DropTable("sites"); err != nil {
				t.Fatal(err)
			}
			if status, answer := s.ask(t, "machine", "/token", url.Values{"grant_type": {"client_credentials"}}); status != http.StatusServiceUnavailable {
				t.Errorf("token: %d %v, want an outage", status, answer)
			}
		})
	})
}

// tableOfResources is where the team keeps its sites.
func tableOfResources(t *testing.T, db *team) func(context.Context) (provider.Resources, error) {
	t.Helper()
	if err := errors.Join(db.Exec("CREATE TABLE sites (url TEXT)").Error, db.Exec("INSERT INTO sites VALUES (?)", docs).Error); err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) (provider.Resources, error) {
		var urls []string
		err := db.WithContext(ctx).Table("sites").Pluck("url", &urls).Error
		return provider.Resources{Known: urls}, err
	}
}

// protects lets a service of the team's know its caller's tenant, by our middleware.
func (s *server) protects(t *testing.T) {
	t.Helper()
	endpoints := httptest.NewServer(s)
	defer endpoints.Close()
	verifier, err := resource.NewIntrospector(resource.Config{Endpoint: endpoints.URL + "/introspect", ClientID: "docs", ClientSecret: "sesame", Resource: docs})
	if err != nil {
		t.Fatal(err)
	}
	service := resource.RequireBearer(verifier, "mcp:search")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims struct{ Tenant string }
		if err := resource.TokenFromContext(r.Context()).Claims(&claims); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, claims.Tenant)
	}))
	for authorization, want := range map[string]string{"Bearer " + s.issue(t): "acme", "Bearer invented": "", "": ""} {
		r := httptest.NewRequest(http.MethodGet, "/mcp", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		if want != "" && w.Body.String() != want || want == "" && w.Code != http.StatusUnauthorized {
			t.Errorf("a call with %.10q: %d %s", authorization, w.Code, w.Body)
		}
	}
}
