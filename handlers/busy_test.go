package handlers_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// busyHasher has too much to do to compare anything.
type busyHasher struct{ fosite.Hasher }

func (busyHasher) Compare(context.Context, []byte, []byte) error { return provider.ErrTooBusy }

// A busy server says so, to the client and in its log, and does not call the right secret wrong.
func TestBusyIs503AndNoOutage(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	f.change = func(o *provider.Options) { o.Hasher = busyHasher{provider.NewSecretHasher()} }
	f.serve(f.store)
	var log bytes.Buffer
	router := mux.NewRouter()
	(&handlers.Server{
		Provider: f.oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Issuer: issuer,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}).Mount(router.PathPrefix(basePath).Subrouter())
	f.router = router
	for _, r := range []*request{
		post("/token", "grant_type", "client_credentials"), post("/introspect", "token", "t"), post("/revoke", "token", "t"),
	} {
		a := f.do(r.basic("ci", secret))
		if a.status != http.StatusServiceUnavailable || a.json["error"] != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s (Retry-After %q), want 503 temporarily_unavailable", r.path, a.status, a.text, a.header.Get("Retry-After"))
		}
	}
	if text := log.String(); strings.Contains(text, "ERROR") || strings.Count(text, "too busy to answer") != 3 {
		t.Errorf("the log says %s", text)
	}
}
