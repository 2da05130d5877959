package spans

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func TestNothingIsMadeWhereNothingIsRecorded(t *testing.T) {
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() {
		below, span := Start(ctx, "work", trace.SpanKindInternal)
		span.End()
		group := Group{Size: 2}
		group.Add(ctx)
		group.Add(below)
		_ = group.Context(ctx)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// A group whose work failed is done again in parts. A part of callers that are not recorded is no part of another's trace.
func TestAPartOfAGroupIsNotRecordedForTheOthers(t *testing.T) {
	recorded, span := sdk.NewTracerProvider().Tracer("test").Start(t.Context(), "request")
	defer span.End()
	whole, part := Group{Size: 2}, Group{Size: 1}
	whole.Add(recorded)
	whole.Add(t.Context())
	ctx := whole.Context(t.Context())
	if trace.SpanFromContext(ctx) != span {
		t.Error("the work of the group is not below its caller's span")
	}
	part.Add(t.Context())
	if trace.SpanFromContext(part.Context(ctx)).IsRecording() {
		t.Error("the work of another caller is below that span")
	}
}

// Another server learns nothing of the trace, and the trace nothing of the URL but the host.
func TestARequestToAnotherServerIsRecorded(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	ctx, span := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), "request")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			t.Error("the trace was told")
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	client := &http.Client{Transport: Transport(http.DefaultTransport)}
	get := func() error {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/hidden?hidden=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if get() == nil {
		t.Fatal("a closed server answered")
	}
	span.End()
	ended := recorder.Ended()
	if len(ended) != 3 || ended[0].Name() != "GET" || ended[0].Parent().SpanID() != span.SpanContext().SpanID() {
		t.Fatalf("spans %v", ended)
	}
	for _, s := range ended[:2] {
		if s.Status().Code.String() != "Error" || strings.Contains(s.Status().Description, "127.") {
			t.Errorf("status %v", s.Status())
		}
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "hidden") {
				t.Errorf("%v", a)
			}
		}
	}
}
