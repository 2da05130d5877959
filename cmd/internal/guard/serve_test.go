package guard

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"fosite-mcp/handlers/resource"
)

// Clients hear that nobody can check a token yet, and are not left waiting. Then they are served.
func TestServerAnswersBeforeTheAuthorizationServerIsFound(t *testing.T) {
	var auth *httptest.Server
	var up atomic.Bool
	auth = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"introspection_endpoint":"%[1]s/introspect"}`, auth.URL)
	}))
	defer auth.Close()
	o := Options{Listen: "127.0.0.1:0", Issuer: auth.URL, clientID: "docs", clientSecret: "secret"}
	listener, err := o.Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	found, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- o.Serve(ctx, listener, Documents, slog.New(slog.DiscardHandler), func(*resource.Introspector) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }), nil
		}, func() { close(found) })
	}()
	base := "http://" + listener.Addr().String()
	for path, want := range map[string]int{"/authed/mcp": 503, "/.well-known/oauth-protected-resource/authed/mcp": 503, "/livez": 200} {
		response, err := http.Post(base+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want || (response.Header.Get("Retry-After") == "5") != (want == 503) || response.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %v, want %d", path, response.StatusCode, response.Header, want)
		}
	}
	up.Store(true)
	select {
	case <-found:
	case err := <-ended:
		t.Fatal(err)
	}
	response, err := http.Get(base + "/authed/mcp")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || string(body) != "served" {
		t.Errorf("once it serves: %d %q %v", response.StatusCode, body, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("after a signal: %v", err)
	}
	if _, err := http.Get(base); err == nil {
		t.Error("it still listens")
	}
}
