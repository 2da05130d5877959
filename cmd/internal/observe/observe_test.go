package observe

import (
	"bytes"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fosite-mcp/handlers"
)

func TestAPanicIsAnAnswerALogLineAndAMetric(t *testing.T) {
	var log bytes.Buffer
	o := New(slog.New(slog.NewTextHandler(&log, nil)), new(sql.DB))
	w := httptest.NewRecorder()
	o.Serve(w, httptest.NewRequest(http.MethodGet, "/x", nil), "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("sesame") }))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "observe_test.go") {
		t.Errorf("the log does not say where:\n%s", &log)
	}
	families, err := o.Registry.Gather()
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

// Busy is no failure of the server: its log lines are warnings, a sample of them. Each request counts in the metrics. An
// outage stays an error.
func TestABusyServerLogsASampleOfWarnings(t *testing.T) {
	var log bytes.Buffer
	o := New(slog.New(slog.NewTextHandler(&log, nil)), new(sql.DB))
	answer := func(busy bool) {
		o.Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/token", nil), "/token", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if busy {
				handlers.TellBusy(w)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
	}
	for range 1000 {
		answer(true)
	}
	if lines := strings.Count(log.String(), "\n"); lines < 50 || lines > 60 || strings.Count(log.String(), "level=WARN") != lines {
		t.Errorf("1000 refusals make %d lines:\n%.500s", lines, log.String())
	}
	families, err := o.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "fosite_mcp_http_request_duration_seconds" && family.GetMetric()[0].GetHistogram().GetSampleCount() != 1000 {
			t.Errorf("the metric knows of %v", family)
		}
	}
	log.Reset()
	answer(false)
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("an outage is logged as %s", log.String())
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
