package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// The whole of an endpoint on SQLite, without the network. prepare gives the request of each turn.
func benchmarkEndpoint(b *testing.B, prepare func(f *fixture) func(turn int64) *request) {
	f := newFixture(b)
	of := prepare(f)
	var turns atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := of(turns.Add(1) - 1)
			req := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
			req.Header = r.header.Clone()
			req.Header.Set("Content-Type", r.contentType)
			w := httptest.NewRecorder()
			f.router.ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	})
}

func always(r *request) func(turn int64) *request { return func(int64) *request { return r } }

func BenchmarkToken(b *testing.B) {
	benchmarkEndpoint(b, func(f *fixture) func(int64) *request {
		return always(post("/token", "grant_type", "client_credentials", "scope", "mcp:search").basic("ci", f.client("ci")))
	})
}

func BenchmarkIntrospect(b *testing.B) {
	benchmarkEndpoint(b, func(f *fixture) func(int64) *request {
		secret := f.client("ci")
		server := f.client("docs", introspects(docs))
		return always(post("/introspect", "token", f.token("ci", secret)).basic("docs", server))
	})
}

func BenchmarkRevoke(b *testing.B) {
	benchmarkEndpoint(b, func(f *fixture) func(int64) *request {
		secret, tokens := f.client("ci"), make([]string, b.N)
		for i := range tokens {
			tokens[i] = f.token("ci", secret)
		}
		return func(turn int64) *request { return post("/revoke", "token", tokens[turn]).basic("ci", secret) }
	})
}
