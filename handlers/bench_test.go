package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The whole of an endpoint on SQLite, without the network.
func benchmarkEndpoint(b *testing.B, prepare func(f *fixture) *request) {
	f := newFixture(b)
	r := prepare(f)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
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

func BenchmarkToken(b *testing.B) {
	benchmarkEndpoint(b, func(f *fixture) *request {
		return post("/token", "grant_type", "client_credentials", "scope", "mcp:search").basic("ci", f.client("ci"))
	})
}

func BenchmarkIntrospect(b *testing.B) {
	benchmarkEndpoint(b, func(f *fixture) *request {
		secret := f.client("ci")
		server := f.client("docs", introspects(docs))
		return post("/introspect", "token", f.token("ci", secret)).basic("docs", server)
	})
}
