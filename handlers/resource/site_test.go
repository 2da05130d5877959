package resource

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type anyToken struct{}

func (anyToken) Verify(context.Context, string) (*Token, error) {
	return &Token{Scope: []string{"mcp:search"}}, nil
}

func TestSite(t *testing.T) {
	metadata := Metadata{Resource: "https://docs.example.com/mcp", AuthorizationServers: []string{"https://auth.example.com"}, Scopes: []string{"mcp:search"}}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, below := range []bool{false, true} {
		handler, err := Site{Verifier: anyToken{}, Metadata: metadata, Scopes: []string{"mcp:search"}, Below: below}.Handler(next)
		if err != nil {
			t.Fatal(err)
		}
		under := http.StatusNotFound
		if below {
			under = http.StatusTeapot
		}
		for path, want := range map[string]int{
			"/mcp": http.StatusTeapot, "/mcp/sse": under, "/mcp/": under, "/mcp/a%2Fb": under,
			"/livez": http.StatusOK, "/.well-known/oauth-protected-resource/mcp": http.StatusOK,
			"/": http.StatusNotFound, "/mcpx": http.StatusNotFound, "/.well-known/oauth-protected-resource": http.StatusNotFound,
			"/mcp/../x": http.StatusNotFound, "/mcp/%2e%2e/x": http.StatusNotFound, "/mcp/..%2fx": http.StatusNotFound, "/mcp/./x": http.StatusNotFound, "/mcp/%252e%252e/%25zz": http.StatusNotFound,
		} {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.URL.Path, r.URL.RawPath = "", ""
			if u, err := r.URL.Parse(path); err == nil && !strings.Contains(path, "/.") {
				r.URL = u
			} else { // which Parse would resolve
				r.URL.Opaque, r.URL.RawPath = "", path
				r.URL.Path = strings.NewReplacer("%2e", ".", "%2f", "/").Replace(path)
			}
			if strings.Contains(path, "well-known") || path == "/livez" {
				r.Method = http.MethodGet
			}
			r.Header.Set("Authorization", "Bearer t")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("below %v, %s (%s): %d, want %d", below, path, r.URL.EscapedPath(), w.Code, want)
			}
		}
	}
	for name, site := range map[string]Site{
		"no verifier": {Metadata: metadata},
		"no resource": {Verifier: anyToken{}, Metadata: Metadata{AuthorizationServers: []string{"https://auth.example.com"}}},
		"no issuer":   {Verifier: anyToken{}, Metadata: Metadata{Resource: "https://docs.example.com/mcp"}},
		"a bad scope": {Verifier: anyToken{}, Metadata: metadata, Scopes: []string{"two scopes"}},
	} {
		if _, err := site.Handler(next); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
