package database

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// traced makes the contexts of requests, each with a trace of its own.
type traced struct {
	*tracetest.SpanRecorder
	tracer trace.Tracer
}

func newTraced() traced {
	recorder := tracetest.NewSpanRecorder()
	return traced{recorder, sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)).Tracer("test")}
}

func (t traced) request(ctx context.Context) context.Context {
	ctx, _ = t.tracer.Start(ctx, "request")
	return ctx
}

// checkLinks wants work for size callers below the first one's span called name, and links between that and those of the others.
func (t traced) checkLinks(test *testing.T, work, name string, size int) {
	test.Helper()
	waits := map[trace.SpanID]sdk.ReadOnlySpan{}
	var doing sdk.ReadOnlySpan
	for _, span := range t.Ended() {
		if span.Name() == name && len(span.Attributes()) > 0 {
			waits[span.SpanContext().SpanID()] = span
		}
		if span.Name() == work {
			doing = span
		}
	}
	if len(waits) != size || doing == nil {
		test.Fatalf("%d callers shared, want %d; the work: %v", len(waits), size, doing)
	}
	first := waits[doing.Parent().SpanID()]
	if first == nil || len(first.Links()) != size-1 {
		test.Fatalf("the work is below %v", first)
	}
	for _, link := range first.Links() {
		if back := waits[link.SpanContext.SpanID()].Links(); len(back) != 1 || !back[0].SpanContext.Equal(first.SpanContext()) {
			test.Errorf("links of another caller: %v", back)
		}
	}
}

func TestASharedStatementIsLinkedToTheTracesOfItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := newTraced()
		s := &statements{held: make(chan struct{})}
		together := NewTogether(1, func(ctx context.Context, group []int) error {
			if len(group) > 1 {
				_, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("").Start(ctx, "statement")
				defer span.End()
			}
			return s.run(ctx, group)
		})
		var calls []chan error
		for part := range 4 {
			calls = append(calls, call(traces.request(t.Context()), together, part))
		}
		close(s.held)
		for _, ended := range calls {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		traces.checkLinks(t, "statement", "shared statement", 3)
	})
}

func TestAGroupCommitIsLinkedToTheTracesOfItsCallers(t *testing.T) {
	traces := newTraced()
	db, release := heldGroup(t)
	ended := make(chan error)
	for i := range 3 {
		go func() { ended <- db.Write(traces.request(t.Context()), setSetting(fmt.Sprint(i))) }()
	}
	eventually(t, "all wait", func() bool { return db.queued() == 3 })
	release()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	traces.checkLinks(t, "COMMIT", "group commit", 3)
}
