package resource

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

var benchAnswer = []byte(fmt.Sprintf(`{"active":true,"scope":"mcp:search","client_id":"c_0123456789","client_name":"ci","token_type":"Bearer",`+
	`"exp":%d,"iat":%d,"nbf":%d,"sub":"c_0123456789","aud":[%q],"iss":"https://auth.example.com","jti":"t_0123456789",`+
	`"mcp":{"resource":%q,"tools":["search","get_page"]}}`, noon.Add(time.Hour).Unix(), noon.Unix(), noon.Unix(), here, here))

func BenchmarkParseAnswer(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseAnswer(benchAnswer, here, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// The guard alone, with a verifier that costs nothing.
func BenchmarkDecide(b *testing.B) {
	g, err := Bearer{Verifier: known, Scopes: []string{"mcp:search"}}.gate()
	if err != nil {
		b.Fatal(err)
	}
	header := []string{"Bearer good"}
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := g.decide(b.Context(), header); refused != nil {
			b.Fatal(refused.message)
		}
	}
}

// One introspection over a kept loopback connection.
func BenchmarkVerify(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(benchAnswer)
	}))
	defer server.Close()
	verifier, err := NewIntrospector(Config{
		Endpoint: server.URL, ClientID: "a", ClientSecret: "b", Resource: here,
		Now: func() time.Time { return noon },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(b.Context(), goodAT); err != nil {
			b.Fatal(err)
		}
	}
}

// cached is a service whose cache knows the token, and a request with it.
func cached(t testing.TB) (http.Handler, *http.Request) {
	a := newAuthorization()
	config, _ := a.config(t)
	v := started(t, config)
	for v.cache.answers.current() == 0 || !v.cache.follower.fresh(time.Now()) {
		time.Sleep(time.Millisecond)
	}
	r := httptest.NewRequest("POST", "/authed/mcp", nil)
	r.Header.Set("Authorization", "Bearer mcp_at_0123456789abcdefghijklmnop.qrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	handler := RequireBearer(v, "mcp:search")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if TokenFromContext(r.Context()) == nil {
			t.Error("no token in the context")
		}
	}))
	handler.ServeHTTP(httptest.NewRecorder(), r)
	return handler, r
}

// One allocation is the context, and one the copy of the request that holds it.
func TestCachedRequestAllocatesItsContextOnly(t *testing.T) {
	handler, r := cached(t)
	w := httptest.NewRecorder()
	if got := testing.AllocsPerRun(1000, func() { handler.ServeHTTP(w, r) }); got != 2 {
		t.Errorf("%v allocations, want 2", got)
	}
}

func BenchmarkCachedRequest(b *testing.B) {
	handler, r := cached(b)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(w, r)
	}
}

func BenchmarkCachedRequestParallel(b *testing.B) {
	handler, r := cached(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := httptest.NewRecorder()
		for pb.Next() {
			handler.ServeHTTP(w, r)
		}
	})
}

func BenchmarkVerifyJWT(b *testing.B) {
	for _, algorithm := range []string{algES256, algRS256, algEdDSA} {
		b.Run(algorithm, func(b *testing.B) {
			v := newAuthorization().offline(b)
			token := testKeys()[algorithm].token(time.Now(), nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
