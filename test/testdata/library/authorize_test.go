package team

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
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
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// theirAuthorize is an authorization endpoint of the team's own: its login, its consent, and two lines of the README.
func theirAuthorize(oauth fosite.OAuth2Provider, resources provider.Resources, issuer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		request, err := oauth.NewAuthorizeRequest(ctx, r)
		if err != nil {
			oauth.WriteAuthorizeError(ctx, w, request, err)
			return
		}
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
		// before NewAuthorizeResponse: the parameter resource becomes the audience, without which the token is inactive
		err = resources.Grant(ctx, request)
		if err != nil {
			oauth.WriteAuthorizeError(ctx, w, request, err)
			return
		}
		response, err := oauth.NewAuthorizeResponse(ctx, request, &fosite.DefaultSession{Subject: "ann"})
		if err != nil {
			oauth.WriteAuthorizeError(ctx, w, request, err)
			return
		}
		// after it: which server answers (RFC 9207)
		response.AddParameter("iss", issuer)
		oauth.WriteAuthorizeResponse(ctx, w, request, response)
	}
}

func TestAnAuthorizationEndpointOfTheirOwn(t *testing.T) {
	const docs, issuer, callback = "https://docs.example.com/authed/mcp", "https://auth.example.com", "https://app.example.com/callback"
	ctx := t.Context()
	db, err := gorm.Open(sqlite.Open("file:" + filepath.Join(t.TempDir(), "team.db") + "?_journal_mode=WAL"))
	if err != nil {
		t.Fatal(err)
	}
	store := storage.New(db, storage.WithSessions(&fosite.DefaultSession{}))
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32))}
	if _, err := provider.Harden(config); err != nil {
		t.Fatal(err)
	}
	config.ClientAuthenticationStrategy = (&provider.ClientAuthenticator{Store: store}).Authenticate
	resources := provider.Resources{Known: []string{docs}, Default: docs}
	oauth := compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config),
		provider.AuthorizationCodeFactory(provider.Grants{Resources: resources}),
		compose.OAuth2TokenIntrospectionFactory,
		provider.MCPSearchFactory(provider.DefaultScopes(), resources))
	if err := store.Clients().Create(ctx, &client.Client{
		ID: "app", TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
		RedirectURIs: []string{callback}, Scope: []string{"mcp:search"}, Audience: []string{docs},
	}); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	server := &handlers.Server{Provider: oauth, NewSession: func() fosite.Session { return &fosite.DefaultSession{} }, Issuer: issuer}
	if err := server.Mount(router); err != nil {
		t.Fatal(err)
	}
	if err := handlers.MountWellKnown(router, handlers.Metadata{Server: server, Endpoints: issuer, OwnAuthorization: true}); err != nil {
		t.Fatal(err)
	}
	router.Handle("/authorize", theirAuthorize(oauth, resources, issuer))

	verifier := strings.Repeat("v", 43)
	challenge := sha256.Sum256([]byte(verifier))
	for name, resource := range map[string]string{"the resource": docs, "none": ""} {
		query := url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "scope": {"mcp:search"}, "state": {"12345678"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
		if resource != "" {
			query.Set("resource", resource)
		}
		back := location(t, router, query)
		if back.Get("iss") != issuer {
			t.Errorf("%s: the answer has iss %q", name, back.Get("iss"))
		}
		w := httptest.NewRecorder()
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {back.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		router.ServeHTTP(w, r)
		token := jsonMember(t, w.Body.String(), "access_token")
		if use, request, err := oauth.IntrospectToken(context.Background(), token, fosite.AccessToken, &fosite.DefaultSession{}); err != nil ||
			use != fosite.AccessToken || !request.GetGrantedAudience().Has(docs) {
			t.Errorf("%s: the person's token: %v %v", name, use, err)
		}
	}
	if back := location(t, router, url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "scope": {"mcp:search"},
		"state": {"12345678"}, "resource": {"https://elsewhere.example.com"}, "code_challenge": {strings.Repeat("c", 43)}, "code_challenge_method": {"S256"}}); back.Get("error") != "invalid_target" {
		t.Errorf("an unknown resource: %v", back)
	}
}

// location is what the authorization endpoint sends to the client.
func location(t *testing.T, router http.Handler, query url.Values) url.Values {
	t.Helper()
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/authorize?"+query.Encode(), nil))
	target, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Header().Get("Location") == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return target.Query()
}

func jsonMember(t *testing.T, body, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, `"`+name+`":"`)
	value, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		t.Fatalf("no %s in %s", name, body)
	}
	return value
}
