package team

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

const gateway = docs

// signed is the team's server, whose gateway verifies tokens.
func signed(ctx context.Context, store *storage.Store, secret []byte) (*handlers.Server, *provider.SigningKeys, error) {
	keys, err := provider.NewSigningKeys(store, provider.SigningKeyOptions{SystemSecret: secret, Lifespan: 90 * 24 * time.Hour})
	if err != nil {
		return nil, nil, err
	}
	if err := keys.Ensure(ctx); err != nil {
		return nil, nil, err
	}
	oauth, err := provider.New(store, provider.Options{
		SystemSecret: secret, Issuer: "https://auth.example.com", TokenURL: "https://auth.example.com/oauth2/token",
		Resources: provider.Resources{Known: []string{docs}, Default: docs},

		JWT: &provider.JWTAccessTokens{Keys: keys, For: func(resource string) bool { return resource == gateway }},
	})
	if err != nil {
		return nil, nil, err
	}
	return &handlers.Server{
		Provider: oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Issuer: "https://auth.example.com",
		PublicKeys: keys.PublicKeys,
		TokenID: func(ctx context.Context, token string) string {
			return storage.TokenID(oauth.Strategy.AccessTokenSignature(ctx, token))
		},
	}, keys, nil
}

// Over the team's own clients a gateway verifies a token by the JWKS, and an introspection says the same of it.
func TestTheirGatewayVerifiesTokens(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, db *team) {
		machines, store := yourStore(db.DB)
		if err := db.AutoMigrate(&Machine{}, &Password{}); err != nil {
			t.Fatal(err)
		}
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		server, keys, err := signed(t.Context(), store, []byte(strings.Repeat("s", 32)))
		if err != nil {
			t.Fatal(err)
		}
		hash, err := provider.NewSecretHasher().Hash(t.Context(), []byte("sesame"))
		if err != nil {
			t.Fatal(err)
		}
		err = machines.Create(t.Context(), &client.Client{
			ID: "machine", GrantTypes: []string{"client_credentials"}, Scope: []string{"mcp:search"}, Audience: []string{docs},
			TokenEndpointAuthMethod: "client_secret_basic", Status: client.Active, Secrets: []client.Secret{{ID: "s", Hash: hash}},
		})
		if err != nil {
			t.Fatal(err)
		}
		router := mux.NewRouter()
		if err := server.Mount(router); err != nil {
			t.Fatal(err)
		}
		ask := func(method, path string, form url.Values, into any) {
			t.Helper()
			r := request(form)
			r.Method, r.URL.Path = method, path
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			if w.Body.Len() == 0 {
				return
			}
			if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
				t.Fatal(err)
			}
		}
		var answer struct {
			Token string `json:"access_token"`
		}
		ask(http.MethodPost, "/token", url.Values{"grant_type": {"client_credentials"}}, &answer)
		var set jose.JSONWebKeySet
		ask(http.MethodGet, "/jwks.json", nil, &set)
		parsed, err := jwt.ParseSigned(answer.Token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.Claims
		if err := parsed.Claims(set, &claims); err != nil {
			t.Fatal(err)
		}
		if err := claims.Validate(jwt.Expected{Issuer: "https://auth.example.com", AnyAudience: jwt.Audience{gateway}, Time: time.Now()}); err != nil {
			t.Error(err)
		}
		introspected := func() (members map[string]any) {
			ask(http.MethodPost, "/introspect", url.Values{"token": {answer.Token}}, &members)
			return members
		}
		if members := introspected(); members["active"] != true || members["jti"] != claims.ID {
			t.Errorf("the introspection of %s: %v", claims.ID, members)
		}
		if err := keys.Maintain(t.Context()); err != nil {
			t.Error(err)
		}
		ask(http.MethodPost, "/revoke", url.Values{"token": {answer.Token}}, nil)
		if members := introspected(); members["active"] != false {
			t.Errorf("after its revocation: %v", members)
		}
	})
}
