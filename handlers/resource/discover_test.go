package resource

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDiscoverFindsTheEndpointInTheServersMetadata(t *testing.T) {
	var server *httptest.Server
	server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			io.WriteString(w, `{"issuer":"`+server.URL+`","introspection_endpoint":"https://auth.example.com/introspect"}`)
		case "/.well-known/oauth-authorization-server/tenant":
			io.WriteString(w, `{"issuer":"`+server.URL+`/tenant","introspection_endpoint":"https://auth.example.com/tenant"}`)
		case "/.well-known/oauth-authorization-server/liar":
			io.WriteString(w, `{"issuer":"`+server.URL+`","introspection_endpoint":"https://auth.example.com/introspect"}`)
		case "/.well-known/oauth-authorization-server/bare":
			io.WriteString(w, `{"issuer":"`+server.URL+`/bare"}`)
		case "/.well-known/oauth-authorization-server/moved":
			http.Redirect(w, r, "/.well-known/oauth-authorization-server", http.StatusFound)
		case "/.well-known/oauth-authorization-server/page":
			io.WriteString(w, `<html>`)
		default:
			http.NotFound(w, r)
		}
	})
	for _, tc := range []struct{ issuer, want, wantErr string }{
		{server.URL, "https://auth.example.com/introspect", ""},
		{server.URL + "/tenant", "https://auth.example.com/tenant", ""},
		{server.URL + "/liar", "", "speaks for the issuer"},
		{server.URL + "/", "", "speaks for the issuer"},
		{server.URL + "/bare", "", "introspection_endpoint"},
		{server.URL + "/moved", "", "302"},
		{server.URL + "/page", "", "not authorization server metadata"},
		{server.URL + "/none", "", "404"},
		{"http://auth.example.com", "", "https"},
		{"auth.example.com", "", "absolute"},
	} {
		t.Run(strings.TrimPrefix(tc.issuer, server.URL), func(t *testing.T) {
			var config Config
			err := config.Discover(t.Context(), tc.issuer)
			if config.Endpoint != tc.want || (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("endpoint %q, error %v; want %q, %q", config.Endpoint, err, tc.want, tc.wantErr)
			}
		})
	}
}
