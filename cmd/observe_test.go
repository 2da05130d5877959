package cmd

import (
	"bytes"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fosite-mcp/config"
	"fosite-mcp/handlers"
)

func TestAPanicIsAnAnswerALogLineAndAMetric(t *testing.T) {
	var log bytes.Buffer
	o := newObserver(slog.New(slog.NewTextHandler(&log, nil)), new(sql.DB))
	w := httptest.NewRecorder()
	o.watch(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("sesame") })).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "observe_test.go") {
		t.Errorf("the log does not say where:\n%s", &log)
	}
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := false
	for _, family := range families {
		if family.GetName() == "fosite_mcp_http_request_duration_seconds" {
			counted = strings.Contains(family.String(), `value:"500"`)
		}
	}
	if !counted {
		t.Error("the metric does not know the request")
	}
}

func TestRequestIDsOfCallersAreHarmless(t *testing.T) {
	for id, want := range map[string]bool{
		"abc-DEF_123": true, "": false, "a b": false, "a\nlevel=ERROR": false, strings.Repeat("a", 65): false, `"`: false,
	} {
		r := &http.Request{Header: http.Header{"X-Request-Id": {id}}}
		if got := handlers.RequestID(r) != ""; got != want {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
}

func TestOnlyTheNearestProxyIsBelieved(t *testing.T) {
	ip := clientIP(config.Config{BehindProxy: true, ClientIPHeader: "X-Forwarded-For"})
	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"one address":               {[]string{"192.0.2.7"}, "192.0.2.7"},
		"the client made some up":   {[]string{"10.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		"in a header of their own":  {[]string{"10.0.0.1", "192.0.2.7"}, "192.0.2.7"},
		"IPv4 in IPv6":              {[]string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		"no header: the connection": {nil, "198.51.100.1"},
		"garbage: the connection":   {[]string{"somebody"}, "198.51.100.1"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/token", nil)
		r.RemoteAddr = "198.51.100.1:1234"
		r.Header["X-Forwarded-For"] = c.header
		if got := ip(r); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if clientIP(config.Config{}) != nil {
		t.Error("a header is believed without a proxy")
	}
}
