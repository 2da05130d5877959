package test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// oddSecret shows whether a service encodes its secret for Basic (RFC 6749 §2.3.1).
const oddSecret = "s3cret +/=&%ü"

// introspection stands between the guards and the server. It has answers of its own for some tokens.
type introspection struct {
	*httptest.Server
	refuse atomic.Bool // the guards' credentials
	calls  atomic.Int64
}

// The answers, with RESOURCE and SOON in place of the resource and of a time to come, and what a guard makes of them.
var cannedAnswers = []struct {
	token  string
	status int
	answer string
	want   int
}{
	{"minimal", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:search"}`, 200},
	{"several", 200, `{"active":true,"sub":"ada","aud":["https://a.example.com","RESOURCE"],"scope":"a mcp:search b","exp":SOON}`, 200},
	{"other-audience", 200, `{"active":true,"sub":"ada","aud":["RESOURCE/"],"scope":"mcp:search"}`, 401},
	{"part-of-audience", 200, `{"active":true,"sub":"ada","aud":"RESOURCE https://a.example.com","scope":"mcp:search"}`, 401},
	{"no-audience", 200, `{"active":true,"sub":"ada","scope":"mcp:search"}`, 401},
	{"late", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:search","exp":1700000000}`, 401},
	{"bound", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:search","cnf":{"jkt":"x"}}`, 401},
	{"bound-to-nothing", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:search","cnf":{}}`, 401},
	{"longer-scope", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:searchx"}`, 403},
	{"no-scope", 200, `{"active":true,"sub":"ada","aud":"RESOURCE"}`, 403},
	{"active-is-text", 200, `{"active":"false","sub":"ada","aud":"RESOURCE","scope":"mcp:search"}`, 503},
	{"exp-is-text", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:search","exp":"1700000000"}`, 503},
	{"scope-is-a-list", 200, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":["mcp:search"]}`, 503},
	{"list", 200, `[true]`, 503},
	{"null", 200, `null`, 503},
	{"half", 200, `leaked{"active":true`, 503},
	{"created", 201, `{"active":true,"sub":"ada","aud":"RESOURCE","scope":"mcp:search"}`, 503},
	{"inactive-but-500", 500, `{"active":false}`, 503},
	{"limited", 429, `{"active":false}`, 503},
	{"moved", 302, ``, 503},
	{"moved-with-the-form", 307, ``, 503},
}

// startIntrospection gives the service, whose secret is in a file, another secret, with characters that need an encoding.
func startIntrospection(t *testing.T, s *server, file string) *introspection {
	t.Helper()
	secret, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(oddSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	front := &introspection{}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.public})
	front.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front.calls.Add(1)
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("docs_service:"+url.QueryEscape(oddSecret)))
		if got := r.Header.Get("Authorization"); got != want || r.Method != http.MethodPost || r.URL.Path != "/authed/mcp/oauth/introspect" || r.URL.RawQuery != "" {
			t.Errorf("%s %s with %q, want POST of introspect with %q", r.Method, r.URL, got, want)
		}
		if front.refuse.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		for _, canned := range cannedAnswers {
			if form.Get("token") == canned.token {
				w.Header().Set("Location", "http://"+r.Host+"/authed/mcp/oauth/elsewhere")
				w.WriteHeader(canned.status)
				_, _ = io.WriteString(w, strings.NewReplacer("RESOURCE", sampleResource, "SOON", fmt.Sprint(time.Now().Add(time.Minute).Unix())).Replace(canned.answer))
				return
			}
		}
		r.SetBasicAuth("docs_service", strings.TrimSpace(string(secret)))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front
}

// checkAnswers goes through the answers, and through headers about which nobody is asked.
func (f *introspection) checkAnswers(t *testing.T, guard *guardProcess) {
	t.Helper()
	for _, test := range cannedAnswers {
		before := f.calls.Load()
		response := guard.ask(test.token)
		if response.StatusCode != test.want || guard.reached() != (test.want == http.StatusOK) {
			t.Errorf("%s: %d %q, want %d", test.token, response.StatusCode, guard.body, test.want)
		}
		if (response.Header.Get("Retry-After") != "") != (test.want == 503) || (response.Header.Get("WWW-Authenticate") != "") != (test.want == 401 || test.want == 403) {
			t.Errorf("%s: the headers are %v", test.token, response.Header)
		}
		if calls := f.calls.Load() - before; calls != 1 {
			t.Errorf("%s: %d requests, want 1", test.token, calls)
		}
	}
	before := f.calls.Load()
	for _, test := range []struct {
		token string
		want  int
	}{
		{"minimal\nminimal", 400}, {"minimal, Bearer minimal", 401}, {strings.Repeat("x", 8193), 401}, {"mini=mal", 401}, {"mini\"mal", 401}, {"minimal minimal", 401},
	} {
		if response := guard.ask(test.token); response.StatusCode != test.want || response.Header.Get("WWW-Authenticate") == "" || guard.reached() {
			t.Errorf("the header %.40q: %d, want %d", test.token, response.StatusCode, test.want)
		}
	}
	if calls := f.calls.Load() - before; calls != 0 {
		t.Errorf("the server was asked about %d headers that hold no token", calls)
	}
}
