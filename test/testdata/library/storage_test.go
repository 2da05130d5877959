package team

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// A small fosite server of the team's own on our storage: their composition, their handlers, their bcrypt.
func TestOurStorageUnderTheirServer(t *testing.T) {
	db, err := gorm.Open(sqlite.Open("file:" + filepath.Join(t.TempDir(), "team.db") + "?_journal_mode=WAL"))
	if err != nil {
		t.Fatal(err)
	}
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), AccessTokenLifespan: time.Hour, HashCost: 4}
	hash, err := (&fosite.BCrypt{Config: config}).Hash(t.Context(), []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	err = store.Clients().Create(t.Context(), &client.Client{
		ID: "machine", GrantTypes: []string{"client_credentials"}, Scope: []string{"read"},
		Secrets: []client.Secret{{Hash: hash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	oauth := compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config),
		compose.OAuth2ClientCredentialsGrantFactory,
		compose.OAuth2TokenIntrospectionFactory,
		compose.OAuth2TokenRevocationFactory,
	)
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		request, err := oauth.NewAccessRequest(r.Context(), r, &fosite.DefaultSession{Subject: "machine"})
		if err != nil {
			oauth.WriteAccessError(r.Context(), w, request, err)
			return
		}
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
		response, err := oauth.NewAccessResponse(r.Context(), request)
		if err != nil {
			oauth.WriteAccessError(r.Context(), w, request, err)
			return
		}
		oauth.WriteAccessResponse(r.Context(), w, request, response)
	})
	mux.HandleFunc("/revoke", func(w http.ResponseWriter, r *http.Request) {
		oauth.WriteRevocationResponse(r.Context(), w, oauth.NewRevocationRequest(r.Context(), r))
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	token := post(t, server.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}})["access_token"].(string)
	use, request, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, &fosite.DefaultSession{}, "read")
	if err != nil || use != fosite.AccessToken || request.GetClient().GetID() != "machine" || request.GetSession().GetSubject() != "machine" {
		t.Fatalf("introspection: %v %v %v", use, request, err)
	}
	post(t, server.URL+"/revoke", url.Values{"token": {token}})
	if _, _, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, &fosite.DefaultSession{}); err == nil {
		t.Fatal("the token is alive after its revocation")
	}
}

func post(t *testing.T, endpoint string, form url.Values) map[string]any {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("machine", "sesame")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", endpoint, response.StatusCode)
	}
	var answer map[string]any
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return answer
}
