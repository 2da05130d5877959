package tracing

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"fosite-mcp/config"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/internal/spans"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

func recorded(settings config.Tracing) (*Tracing, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	return with(recorder, nil, newSampler(settings)), recorder
}

// request begins and ends a span, and tells whether it was recorded.
func (t *Tracing) request(traceparent string) bool {
	r := httptest.NewRequest("POST", "/token", nil)
	if traceparent != "" {
		r.Header.Set("Traceparent", traceparent)
	}
	_, span := t.Begin(r, "POST", "/token")
	End(span, 200, new(reqinfo.Facts))
	return span.IsRecording() || span.SpanContext().IsSampled()
}

const traced, untraced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

func TestTheCallerDecidesWithinALimit(t *testing.T) {
	for name, c := range map[string]struct {
		ratio  float64
		header string
		want   int
	}{
		"of ten traced requests, as many as may be":      {0, traced, 3},
		"a caller that does not trace":                   {1, untraced, 0},
		"no trace, all are wanted, as many as may be":    {1, "", 3},
		"no trace, none is wanted":                       {0, "", 0},
		"a header that is none counts as if it were not": {1, "00-zz-" + traced, 3},
	} {
		traces, _ := recorded(config.Tracing{SampleRatio: c.ratio, MaxPerSecond: 3})
		got := 0
		for range 10 {
			if traces.request(c.header) {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Callers that have every request traced must not hide what the operator samples.
func TestCallersLeaveRoomForTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		traces, _ := recorded(config.Tracing{SampleRatio: 1, MaxPerSecond: 5})
		of := func(header string) (n int) {
			for range 10 {
				if traces.request(header) {
					n++
				}
			}
			return n
		}
		if asked, sampled := of(traced), of(""); asked != 3 || sampled != 2 {
			t.Errorf("%d requests of callers that trace and %d others were recorded, want 3 and 2 of 5", asked, sampled)
		}
	})
}

// Spans below a recorded one are no requests, and do not count.
func TestARecordedRequestIsRecordedWhole(t *testing.T) {
	traces, recorder := recorded(config.Tracing{SampleRatio: 1, MaxPerSecond: 1})
	r, span := traces.Begin(httptest.NewRequest("GET", "/", nil), "GET", "/")
	for range 3 {
		_, below := spans.Start(r.Context(), "below", trace.SpanKindInternal)
		below.End()
	}
	_, library := trace.SpanFromContext(r.Context()).TracerProvider().Tracer("github.com/ory/fosite").Start(r.Context(), "theirs")
	library.End()
	End(span, 200, nil)
	if got := len(recorder.Ended()); got != 4 {
		t.Errorf("%d spans, want the request and three below it", got)
	}
}

func TestAStatementIsRecordedWithoutValues(t *testing.T) {
	db, err := gorm.Open(sqlite.Open(":memory:"), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Use(statements{}); err != nil {
		t.Fatal(err)
	}
	traces, recorder := recorded(config.Tracing{SampleRatio: 1, MaxPerSecond: 1})
	if err := db.Exec("CREATE TABLE things (id TEXT)").Error; err != nil { // belongs to no request
		t.Fatal(err)
	}
	r, span := traces.Begin(httptest.NewRequest("GET", "/", nil), "GET", "/")
	db = db.WithContext(r.Context())
	type thing struct{ ID string }
	db.Create(&thing{"hidden"})
	db.Where("id = ?", "hidden").First(&thing{})
	db.Model(&thing{}).Where("id = ?", "hidden").Update("id", "hidden too")
	db.Where("id = ?", "hidden").Delete(&thing{})
	if rows, err := db.Raw("SELECT id FROM things WHERE id = ?", "hidden").Rows(); err == nil {
		_ = rows.Close()
	}
	db.Exec("UPDATE nothing SET id = ?", "hidden")
	End(span, 500, nil)
	var names []string
	for _, s := range recorder.Ended() {
		names = append(names, s.Name())
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "hidden") {
				t.Errorf("%s has a value: %v", s.Name(), a)
			}
		}
		if failed := s.Status().Code.String() == "Error"; failed != (s.Name() == "UPDATE nothing" || s.Name() == "GET /") || s.Status().Description != "" {
			t.Errorf("%s: status %v", s.Name(), s.Status())
		}
	}
	want := "INSERT things, SELECT things, UPDATE things, DELETE things, SELECT things, UPDATE nothing, GET /"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("spans %s, want %s", got, want)
	}
}
