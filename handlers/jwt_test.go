package handlers_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// withJWTs issues JWTs for docs, and opaque tokens for other resources.
func withJWTs(f *fixture) {
	f.change = func(o *provider.Options) {
		keys, err := provider.NewSigningKeys(f.store, provider.SigningKeyOptions{SystemSecret: o.SystemSecret, Now: o.Now})
		if err != nil {
			f.t.Fatal(err)
		}
		if err := keys.Ensure(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.keys, f.signed = keys, &handlers.SignedIntrospection{Sign: keys.SignIntrospection, Algorithms: []string{provider.ES256}}
		o.JWT = &provider.JWTAccessTokens{Keys: keys, For: func(resource string) bool { return resource == docs }}
	}
}

func payloadOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%.10s… is no JWT", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatalf("a payload that cannot be read: %v", err)
	}
	return claims
}

func TestAPersonsJWTSaysWhatItsIntrospectionSays(t *testing.T) {
	f := newFixture(t, withJWTs)
	f.app("app")
	first := f.login("scope", "mcp:search", "resource", docs)
	second := f.tokens(refresh(first.refresh))
	if f.alive(first.access) {
		t.Error("the JWT beside the used refresh token is alive")
	}
	claims, answer := payloadOf(t, second.access), f.inspect(second.access).json
	if mac, told := answer["mac"]; told || claims["mac"] == nil { // whoever knows it needs a signing key alone
		t.Errorf("the claim mac is %v, and introspection says %v", claims["mac"], mac)
	}
	delete(claims, "mac")
	want := map[string]any{"aud": docs, "sub": "u1", "client_id": "app", "scope": "mcp:search"}
	for _, name := range []string{"iss", "iat", "nbf", "exp", "jti"} {
		want[name] = answer[name]
	}
	if diff := cmp.Diff(want, claims); diff != "" { // and nothing else: neither groups nor a name
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if opaque := f.login("scope", "mcp:search", "resource", other); !strings.HasPrefix(opaque.access, provider.AccessTokenPrefix) || !f.alive(opaque.access) {
		t.Errorf("a token for another resource is %.10s…", opaque.access)
	}
}

func TestAnOutageMakesNoJWTInactive(t *testing.T) {
	f := newFixture(t, withJWTs)
	secret := f.client("ci")
	token := f.token("ci", secret)
	f.clock = f.clock.Add(2 * time.Minute) // the keys have to be read anew
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*request{post("/introspect", "token", token), post("/revoke", "token", token), post("/token", "grant_type", "client_credentials")} {
		if a := f.do(r.basic("ci", secret)); a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", r.path, a.status, a.text)
		}
	}
}

// A token that is longer than what resource servers take is refused before it is issued, and uses nothing up.
func TestATokenThatNobodyWouldTakeIsRefused(t *testing.T) {
	long := "docs:" + strings.Repeat("x", provider.MaximumToken)
	f := newFixture(t, withJWTs)
	secret := f.client("ci", func(c *client.Client) { c.Scope = []string{long} })
	if a := f.do(post("/token", "grant_type", "client_credentials").basic("ci", secret)); a.status != http.StatusBadRequest || a.json["error"] != "invalid_scope" {
		t.Errorf("a machine: %d %s", a.status, a.text)
	}
	f.app("app", func(c *client.Client) { c.Scope = []string{long, "mcp:search"} })
	got := f.login("resource", other) // opaque
	if a := f.do(refresh(got.refresh)); a.status != http.StatusOK {
		t.Errorf("an opaque token of the same scope: %d %s", a.status, a.text)
	}
	code := f.code("resource", docs)
	for range 2 {
		if a := f.do(redeem(code)); a.status != http.StatusBadRequest || a.json["error"] != "invalid_scope" {
			t.Errorf("a person: %d %s", a.status, a.text)
		}
	}
}

func TestAnUnknownSetOfKeysIsAnOutage(t *testing.T) {
	f := newFixture(t)
	var err error
	router := mux.NewRouter()
	server := &handlers.Server{
		Provider: f.oauth, NewSession: func() fosite.Session { return provider.NewSession() },
		PublicKeys: func(context.Context) ([]byte, error) { return []byte(`{"keys":[{}]}`), err },
	}
	if err := server.Mount(router); err != nil {
		t.Fatal(err)
	}
	get := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(method, "/jwks.json", nil))
		return w
	}
	if w := get(http.MethodGet); w.Code != http.StatusOK || w.Body.String() != `{"keys":[{}]}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(http.MethodHead); w.Code != http.StatusOK || w.Header().Get("ETag") == "" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	err = errors.New("the database is gone")
	if w := get(http.MethodGet); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("ETag") != "" {
		t.Errorf("in an outage: %d %v", w.Code, w.Header())
	}
}
