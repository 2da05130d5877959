package observe

import (
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fosite-mcp/internal/reqinfo"
)

// answered has a server answer a request of alice's client, and returns what is logged.
func answered(t *testing.T, method, path, route string, status int, quiet bool) string {
	t.Helper()
	var failures, requests strings.Builder
	o := New(slog.New(slog.NewTextHandler(&failures, nil)), new(sql.DB))
	o.Requests, o.Quiet = slog.New(slog.NewTextHandler(&requests, nil)), quiet
	endpoint := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reqinfo.Note(r.Context()).Client = "editor"
		reqinfo.Note(r.Context()).Secret = "cs_1"
		reqinfo.Note(r.Context()).Subject = "alice"
		reqinfo.Note(r.Context()).GrantType, reqinfo.Note(r.Context()).Refused = "refresh_token", "invalid_grant"
		w.WriteHeader(status)
	})
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r = r.WithContext(reqinfo.With(r.Context(), reqinfo.Info{ID: "r1", Address: netip.MustParseAddr("192.0.2.7"), Facts: new(reqinfo.Facts)}))
	o.Serve(httptest.NewRecorder(), r, route, endpoint)
	if status < 500 && failures.Len() > 0 || status >= 500 && requests.Len() > 0 {
		t.Errorf("status %d is in the other log:\n%s%s", status, &failures, &requests)
	}
	return failures.String() + requests.String()
}

func TestEachRequestIsALine(t *testing.T) {
	line := answered(t, "POST", "/clients/mcp_at_secret?token=mcp_at_secret", "/clients/{id}", 204, false)
	for _, want := range []string{
		"level=INFO", "method=POST", "route=/clients/{id}", "status=204", "duration_ms=", "request_id=r1", "ip=192.0.2.7",
		"client_id=editor", "secret_id=cs_1", "subject=alice", "grant_type=refresh_token", "oauth_error=invalid_grant", "trace_id=0af7651916cd43dd8448eb211c80319c",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "mcp_at_secret") {
		t.Errorf("the line has what a caller put into the URL: %s", line)
	}
	if line := answered(t, "POST", "/x", "/x", 204, true); line != "" {
		t.Errorf("log.requests is false, and there is %s", line)
	}
	if line := answered(t, "POST", "/x", "/x", 503, true); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "client_id=editor") {
		t.Errorf("a failure is told as %q", line)
	}
	if line := answered(t, "GET", "/readyz", "/readyz", 200, false); line != "" {
		t.Errorf("a probe makes the line %s", line)
	}
	if line := answered(t, "BREW", "/x", "/x", 200, false); !strings.Contains(line, "method=other") {
		t.Errorf("an invented method makes the line %s", line)
	}
}

func TestOnlyATraceIDIsLogged(t *testing.T) {
	for header, want := range map[string]string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":         "0af7651916cd43dd8448eb211c80319c",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more":    "0af7651916cd43dd8448eb211c80319c", // of a later version
		"00-0af7651916cd43dd8448eb211c8031\n-b7ad6b7169203331-01":         "",
		"mcp_at_secret-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331": "",
		"": "",
	} {
		r := &http.Request{Header: http.Header{"Traceparent": {header}}}
		if got := traceID(r); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// brokenFor is a file that fails a number of times.
type brokenFor struct {
	mu     sync.Mutex
	times  int
	writes []string
}

func (f *brokenFor) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.times--; f.times >= 0 {
		return 0, errors.New("no space left on device")
	}
	f.writes = append(f.writes, string(p))
	return len(p), nil
}

func (f *brokenFor) want(t *testing.T, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := strings.Join(f.writes, "|"); got != strings.Join(want, "|") {
		t.Errorf("written: %.200q, want %.200q", got, want)
	}
}

func TestLinesWaitForOthersForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := &brokenFor{times: 1}
		lines := NewLines(file)
		write := func(line string) {
			if _, err := lines.Write([]byte(line)); err != nil {
				t.Error(err)
			}
		}
		write("lost\n")
		time.Sleep(linesWait) // of the test's clock
		synctest.Wait()
		file.want(t)
		write("one\n")
		write("two\n")
		file.want(t)
		time.Sleep(linesWait)
		synctest.Wait()
		file.want(t, "one\ntwo\n")
		write("three\n")
		lines.Flush()
		file.want(t, "one\ntwo\n", "three\n")
		long := strings.Repeat("x", 40<<10) + "\n"
		write(long)
		write(long) // does not fit beside the other, and is not cut
		lines.Flush()
		file.want(t, "one\ntwo\n", "three\n", long, long)
	})
}
