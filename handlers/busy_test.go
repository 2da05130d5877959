package handlers_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// busyHasher has too much to do to compare anything.
type busyHasher struct{ fosite.Hasher }

func (busyHasher) Compare(context.Context, []byte, []byte) error { return provider.ErrTooBusy }

// busyServer is the endpoints of a server that has too much to do, at a clock that stands still.
func busyServer(t *testing.T) (f *fixture, secret string, log *bytes.Buffer) {
	f, log = newFixture(t), new(bytes.Buffer)
	secret = f.client("ci")
	f.change = func(o *provider.Options) { o.Hasher = busyHasher{provider.NewSecretHasher()} }
	f.serve(f.store)
	now := time.Now()
	router := mux.NewRouter()
	(&handlers.Server{
		Provider: f.oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Issuer: issuer,
		Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return now },
	}).Mount(router.PathPrefix(basePath).Subrouter())
	f.router = router
	return f, secret, log
}

// A busy server says so, to the client and in its log, and does not call the right secret wrong.
func TestBusyIs503AndNoOutage(t *testing.T) {
	f, secret, log := busyServer(t)
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

// A flood that keeps the server busy does not fill its log, and each refusal says that nothing failed.
func TestAFloodOfRefusalsIsSampledInTheLog(t *testing.T) {
	f, secret, log := busyServer(t)
	told := 0
	inner := f.router
	f.router = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(busyWriter{w, &told}, r) })
	for range 60 {
		f.do(post("/token", "grant_type", "client_credentials").basic("ci", secret))
	}
	if n := strings.Count(log.String(), "too busy to answer"); n != 50 || told != 60 {
		t.Errorf("of 60 refusals the log tells of %d, and the middleware knows of %d; want 50 and 60", n, told)
	}
}

// busyWriter counts the answers that say that the server is busy.
type busyWriter struct {
	http.ResponseWriter
	told *int
}

func (w busyWriter) Busy() { *w.told++ }
