// Package spans records what a request waits for as spans of its trace (OpenTelemetry). See [Start] and [Group]. Spans go where
// that of the request goes. Where nobody records the request, nothing is made: a call costs a look into the context.
package spans

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Scope names the spans of this project.
const Scope = "fosite-mcp"

var none trace.Span = noop.Span{}

// Start begins a span below that of ctx, if that is recorded. End it.
func Start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	above := trace.SpanFromContext(ctx)
	if !above.IsRecording() {
		return ctx, none
	}
	return above.TracerProvider().Tracer(Scope).Start(ctx, name, trace.WithSpanKind(kind))
}

// Group is work that is done once for several callers. It is recorded below the span of the first of them, and the spans of the
// others link to that one, as it does to them.
type Group struct {
	Size  int // how many callers there are
	first trace.Span
}

// Add adds a caller by its context. The work of one caller alone needs no group.
func (g *Group) Add(caller context.Context) {
	span := trace.SpanFromContext(caller)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int("fosite_mcp.callers", g.Size))
	if g.first == nil {
		g.first = span
		return
	}
	g.first.AddLink(trace.Link{SpanContext: span.SpanContext()})
	span.AddLink(trace.Link{SpanContext: g.first.SpanContext()})
}

// Context is ctx for the work. ctx may be that of a larger group, whose callers it does not count for any more.
func (g *Group) Context(ctx context.Context) context.Context {
	switch {
	case g.first != nil:
		return trace.ContextWithSpan(ctx, g.first)
	case trace.SpanFromContext(ctx).IsRecording():
		return trace.ContextWithSpan(ctx, none)
	}
	return ctx
}

// Transport records each request to another server: whose host it is and what that answers. The path may hold secrets, and is
// left out. The other server does not learn of the trace: it is not of this deployment.
func Transport(next http.RoundTripper) http.RoundTripper { return transport{next} }

type transport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := Start(r.Context(), r.Method, trace.SpanKindClient)
	if !span.IsRecording() {
		return t.next.RoundTrip(r)
	}
	defer span.End()
	span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname()))
	answer, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", answer.StatusCode))
	if answer.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	return answer, nil
}
