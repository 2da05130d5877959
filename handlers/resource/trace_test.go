package resource

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The authorization server's part of a request belongs to the request's trace, with a cache and without.
func TestTheAuthorizationServerLearnsOfTheTrace(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for header, want := range map[string]string{trace: trace, "": "", "00-" + goodAT: "", trace + "-more": "", "01" + trace[2:]: ""} {
		var got string
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Traceparent")
			io.WriteString(w, `{"active":true,"aud":"`+here+`"}`)
		})
		r := httptest.NewRequest("GET", here, nil)
		r.Header.Set("Authorization", "Bearer "+goodAT)
		if header != "" {
			r.Header.Set("Traceparent", header)
		}
		w := httptest.NewRecorder()
		RequireBearer(introspector(t, server.URL))(http.NotFoundHandler()).ServeHTTP(w, r)
		if w.Code != http.StatusNotFound || got != want {
			t.Errorf("%q: answered %d, the server was told %q", header, w.Code, got)
		}
	}
}
