package bench

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// loadOn is a load of n requests on a server of the test's.
func loadOn(t *testing.T, w workload, n int, handler http.HandlerFunc) *load {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	l := &load{workload: w, address: strings.TrimPrefix(server.URL, "http://"), connections: 2, once: true, window: time.Minute}
	for range n {
		l.requests = append(l.requests, []byte("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"))
	}
	return l
}

func TestEachWrongAnswerIsCounted(t *testing.T) {
	t.Parallel()
	var answered atomic.Int32
	l := loadOn(t, introspect, 10, func(w http.ResponseWriter, _ *http.Request) {
		switch answered.Add(1) {
		case 1:
			_, _ = w.Write([]byte(`{"active":false}`))
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":"temporarily_unavailable","error_description":"mcp_at_secret"}`))
		case 3:
			w.WriteHeader(http.StatusTooManyRequests)
		case 4:
			panic(http.ErrAbortHandler)
		default:
			_, _ = w.Write([]byte(`{"active":true,"scope":"mcp:search"}`))
		}
	})
	result, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"a live token is not active": 1, `status 503, "temporarily_unavailable"`: 1, "status 429": 1, "connection broken": 1}
	if !maps.Equal(result.errors, want) || result.good != 6 || len(result.latencies) != 6 {
		t.Errorf("%v and %d good answers, %d of them measured; want %v and 6", result.errors, result.good, len(result.latencies), want)
	}
}

func TestTheTokenOfEachAnswerIsKept(t *testing.T) {
	t.Parallel()
	l := loadOn(t, issue, 8, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"abc","expires_in":1}`))
	})
	result, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	machines := make(map[int]bool)
	for _, got := range result.tokens {
		machines[got.machine] = got.text == "abc"
	}
	if len(machines) != 8 || !machines[0] || !machines[7] {
		t.Errorf("%v, want one for each request", result.tokens)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l := loadOn(t, revoke, 100, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // the connection is closed
	})
	if result, err := l.run(ctx); err == nil || len(result.errors) > 0 {
		t.Errorf("%v, %v; want an error, and no failed requests", err, result.errors)
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	rounds := []Sample{{PerSecond: 30, P50: 1, ServerCPU: new(2.0)}, {PerSecond: 10, P50: 3}, {PerSecond: 20, P50: 2, ServerCPU: new(4.0)}}
	m := median(rounds)
	if m.PerSecond != 20 || m.P50 != 2 || *m.ServerCPU != 3 || m.DatabaseCPU != nil {
		t.Errorf("%+v", m)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		report Report
		want   string
	}{
		{Report{Database: Database{Durable: true}, Stolen: new(0.02), Others: new(0.1)}, ""},
		{Report{Database: Database{Durable: true}, Stolen: new(0.2)}, "up to 20 % of the CPU time was stolen"},
		{Report{Database: Database{Durable: true}, Others: new(0.5)}, "other programs used up to 50 %"},
		{Report{Database: Database{Durability: "fsync=off"}}, "not durable: fsync=off"},
	} {
		c.report.summarize()
		if got := strings.Join(c.report.Warnings, "\n"); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
