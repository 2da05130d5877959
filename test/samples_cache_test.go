package test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// keptBound is MCP_CACHE of the guards that keep answers.
const keptBound = time.Second

// checkKeptAnswers lets guards keep answers: a token is asked about once, a revoked one is refused within the bound, and without the
// server a known one passes for the bound and gets 503 afterwards.
func (s *server) checkKeptAnswers(t *testing.T, id, secret string, startGuard func(issuer, line string) *guardProcess, lines []string) {
	t.Helper()
	var asked atomic.Int64
	var cut atomic.Bool
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.public})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cut.Load() {
			panic(http.ErrAbortHandler)
		}
		if strings.HasSuffix(r.URL.Path, "/introspect") {
			asked.Add(1)
		}
		r.Host = s.public
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	revoked, kept := s.token(id, secret), s.token(id, secret)
	guards := map[string]*guardProcess{}
	for _, line := range lines {
		guard := startGuard(front.URL, line)
		guards[line] = guard
		for _, token := range []string{revoked, kept} {
			for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				before := asked.Load()
				if status := guard.ask(token).StatusCode; status == http.StatusOK && asked.Load() == before {
					break // the answer was kept
				} else if time.Since(begun) > 10*time.Second {
					t.Fatalf("%s: no answer is kept; the status is %d\n%s", line, status, guard.log)
				}
			}
		}
	}
	if status, _ := s.call("/revoke", id, secret, "token", revoked); status != http.StatusOK {
		t.Fatalf("the revocation: %d", status)
	}
	within := func(token string, want int, what string) {
		t.Helper()
		var all sync.WaitGroup
		for line, guard := range guards {
			all.Go(func() {
				begun, status := time.Now(), http.StatusOK
				for status == http.StatusOK && time.Since(begun) < 3*keptBound {
					status = guard.ask(token).StatusCode
				}
				if took := time.Since(begun); status != want || took > keptBound+500*time.Millisecond {
					t.Errorf("%s, %s: %d after %s, want %d within %s\n%s", strings.TrimSpace(line), what, status, took, want, keptBound, guard.log)
				}
			})
		}
		all.Wait()
	}
	within(revoked, http.StatusUnauthorized, "a revoked token")
	for line, guard := range guards {
		if status := guard.ask(kept).StatusCode; status != http.StatusOK {
			t.Errorf("%s: the other token gets %d", line, status)
		}
	}
	cut.Store(true)
	within(kept, http.StatusServiceUnavailable, "without the server")
}
