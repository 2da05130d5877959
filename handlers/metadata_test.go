package handlers_test

import (
	"errors"
	"net/http"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

func metadataOf(issuer string) handlers.Metadata {
	return handlers.Metadata{
		Issuer: issuer, Endpoints: "https://auth.example.com/authed/mcp/oauth", Scopes: []string{"mcp:search"}, OpenID: true,
		GrantTypes: []string{"client_credentials", "authorization_code", "refresh_token"},
		Resources: []handlers.ProtectedResource{
			{Resource: "https://auth.example.com/authed/mcp", Name: "Docs", Scopes: []string{"mcp:search"}},
			{Resource: "https://elsewhere.example.com/mcp"},
			{Resource: "http://auth.example.com/plain"},
		},
	}
}

// discovery is the endpoints with the well-known documents of an issuer.
func discovery(t *testing.T, issuer string) *fixture {
	f := newFixture(t)
	root := mux.NewRouter()
	server := &handlers.Server{Provider: f.oauth, Login: f, Issuer: issuer, NewSession: func() fosite.Session { return provider.NewSession() }}
	metadata := metadataOf(issuer)
	metadata.Server = server
	if err := errors.Join(server.Mount(root.PathPrefix(basePath).Subrouter()), handlers.MountWellKnown(root, metadata)); err != nil {
		t.Fatal(err)
	}
	f.router = root
	return f
}

func (f *fixture) get(method, path string, header ...string) answer {
	f.t.Helper()
	r := &request{method: method, path: path, header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.header.Set(header[i], header[i+1])
	}
	return f.do(r)
}

// RFC 8414 §3.1 and OpenID Connect Discovery §4.1: clients try one form after the other, and some give up at an
// answer that is neither the document nor 404.
func TestEveryFormOfDiscovery(t *testing.T) {
	for _, c := range []struct {
		issuer         string
		found, missing []string
	}{
		{
			"https://auth.example.com",
			[]string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
			[]string{"/.well-known/oauth-authorization-server/authed/mcp", "/.well-known/openid-configuration/authed/mcp",
				"/authed/mcp/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/"},
		},
		{
			"https://auth.example.com/tenant/a",
			[]string{"/.well-known/oauth-authorization-server/tenant/a", "/.well-known/openid-configuration/tenant/a",
				"/tenant/a/.well-known/openid-configuration"},
			[]string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/openid-configuration/tenant",
				"/tenant/a/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/tenant/b"},
		},
	} {
		t.Run(c.issuer, func(t *testing.T) {
			f := discovery(t, c.issuer)
			first := f.get(http.MethodGet, c.found[0])
			for _, path := range c.found {
				a := f.get(http.MethodGet, path)
				if a.status != http.StatusOK || a.header.Get("Content-Type") != contentJSON || a.text != first.text {
					t.Errorf("GET %s: %d %s, the same document must be everywhere", path, a.status, a.header.Get("Content-Type"))
				}
				if a := f.get(http.MethodHead, path); a.status != http.StatusOK {
					t.Errorf("HEAD %s: %d", path, a.status)
				}
				if a := f.get(http.MethodPost, path); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
					t.Errorf("POST %s: %d, Allow %q", path, a.status, a.header.Get("Allow"))
				}
			}
			for _, path := range append(c.missing, "/.well-known/webfinger", "/.well-known/oauth-protected-resource", "/.well-known/") {
				if a := f.get(http.MethodGet, path); a.status != http.StatusNotFound || a.json != nil {
					t.Errorf("GET %s: %d %s, want 404 without JSON", path, a.status, a.text)
				}
			}
		})
	}
}

// RFC 8414 §2, RFC 9207 §3, and what MCP clients refuse to work without.
func TestTheServerDocument(t *testing.T) {
	f := discovery(t, issuer)
	a := f.get(http.MethodGet, "/.well-known/oauth-authorization-server")
	const endpoints = "https://auth.example.com/authed/mcp/oauth"
	for name, want := range map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         endpoints + "/authorize",
		"token_endpoint":                                 endpoints + "/token",
		"introspection_endpoint":                         endpoints + "/introspect",
		"revocation_endpoint":                            endpoints + "/revoke",
		"jwks_uri":                                       endpoints + "/jwks.json",
		"scopes_supported":                               []any{"mcp:search"},
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query"},
		"grant_types_supported":                          []any{"client_credentials", "authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []any{"S256"},
		"token_endpoint_auth_methods_supported":          []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"introspection_endpoint_auth_methods_supported":  []any{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"authorization_response_iss_parameter_supported": true,
		"subject_types_supported":                        []any{"public"},
		"id_token_signing_alg_values_supported":          []any{"RS256"},
	} {
		if diff := cmp.Diff(want, a.json[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, value := range a.json {
		if value == nil || value == "" {
			t.Errorf("%s is %v: clients that check types reject that", name, value)
		}
	}
}

func TestTheKeyDocumentThatMetadataNamesExists(t *testing.T) {
	f := discovery(t, issuer)
	a := f.get(http.MethodGet, basePath+"/jwks.json", "Origin", "https://app.example.com")
	if a.status != http.StatusOK || a.text != `{"keys":[]}` || a.header.Get("Content-Type") != contentJSON || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("got %d %s %v", a.status, a.text, a.header)
	}
}

// RFC 9728 §3.1: the resource's path goes behind the well-known name.
func TestResourceDocuments(t *testing.T) {
	f := discovery(t, issuer)
	a := f.get(http.MethodGet, "/.well-known/oauth-protected-resource/authed/mcp")
	want := map[string]any{
		"resource": "https://auth.example.com/authed/mcp", "authorization_servers": []any{issuer}, "resource_name": "Docs",
		"scopes_supported": []any{"mcp:search"}, "bearer_methods_supported": []any{"header"},
	}
	if diff := cmp.Diff(want, a.json); diff != "" || a.header.Get("Content-Type") != contentJSON {
		t.Errorf("document (-want +got):\n%s%v", diff, a.header)
	}
	for _, path := range []string{"/mcp", "/plain", "", "/authed", "/authed/mcp/"} {
		if a := f.get(http.MethodGet, "/.well-known/oauth-protected-resource"+path); a.status != http.StatusNotFound {
			t.Errorf("%q: %d, want 404", path, a.status)
		}
	}
}

func TestPagesOfAnyOriginMayCallWhatBrowserClientsNeed(t *testing.T) {
	f := discovery(t, issuer)
	const app = "https://app.example.com"
	for path, method := range map[string]string{
		"/.well-known/oauth-authorization-server":          http.MethodGet,
		"/.well-known/openid-configuration":                http.MethodGet,
		"/.well-known/oauth-protected-resource/authed/mcp": http.MethodGet,
		basePath + "/jwks.json":                            http.MethodGet,
		basePath + "/token":                                http.MethodPost,
		basePath + "/revoke":                               http.MethodPost,
	} {
		for _, asked := range []string{"authorization,content-type,mcp-protocol-version", "authorization,content-type,mcp-session-id,x-tenant", "x-b, x-a"} {
			preflight := f.get(http.MethodOptions, path, "Origin", app, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", asked)
			if preflight.status >= 300 || preflight.header.Get("Access-Control-Allow-Origin") != "*" ||
				preflight.header.Get("Access-Control-Allow-Methods") != method || preflight.header.Get("Access-Control-Allow-Headers") != asked ||
				preflight.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("OPTIONS %s, without credentials: %d %v", path, preflight.status, preflight.header)
			}
		}
		answer := f.get(method, path, "Origin", app)
		if answer.header.Get("Access-Control-Allow-Origin") != "*" || answer.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %v", method, path, answer.header)
		}
	}
	for _, path := range []string{"/authorize", "/introspect"} {
		if a := f.get(http.MethodOptions, basePath+path, "Origin", app, "Access-Control-Request-Method", http.MethodPost); a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("scripts may call %s", path)
		}
	}
}

// There is no registration by clients themselves, and a client that reads otherwise would try it.
func TestMetadataPromisesNoRegistration(t *testing.T) {
	f := discovery(t, issuer)
	a := f.get(http.MethodGet, "/.well-known/oauth-authorization-server")
	if a.status != http.StatusOK || a.json["issuer"] != issuer {
		t.Fatalf("no document: %d %s", a.status, a.text)
	}
	for _, member := range []string{"registration_endpoint", "client_id_metadata_document_supported"} {
		if value, ok := a.json[member]; ok {
			t.Errorf("%s is %v", member, value)
		}
	}
	if a := f.do(&request{http.MethodPost, basePath + "/register", contentJSON, `{"redirect_uris":["https://app.example.com/callback"]}`, http.Header{}}); a.status != http.StatusNotFound {
		t.Errorf("register: %d %s", a.status, a.text)
	}
}
