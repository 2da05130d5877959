package tracing

import (
	"context"

	"fosite-mcp/internal/spans"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// provider makes spans of ours. Libraries such as fosite find it by the span in their context, and theirs would hold the text of
// errors, with what a caller has sent in it.
type provider struct {
	embedded.TracerProvider
	spans *sdk.TracerProvider
}

// Tracer implements [trace.TracerProvider].
func (p provider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	if name != spans.Scope {
		return silent{}
	}
	return tracer{Tracer: p.spans.Tracer(name, options...), provider: p}
}

// silent makes no spans, and leaves the context as it is, so that what is done below still belongs to the span of ours.
type silent struct{ embedded.Tracer }

// Start implements [trace.Tracer].
func (silent) Start(ctx context.Context, _ string, _ ...trace.SpanStartOption) (context.Context, trace.Span) {
	return ctx, noop.Span{}
}

type tracer struct {
	trace.Tracer
	provider provider
}

// Start implements [trace.Tracer].
func (t tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx, made := t.Tracer.Start(ctx, name, options...)
	if !made.IsRecording() {
		return ctx, made
	}
	own := span{made, t.provider}
	return trace.ContextWithSpan(ctx, own), own
}

type span struct {
	trace.Span
	provider provider
}

// TracerProvider implements [trace.Span].
func (s span) TracerProvider() trace.TracerProvider { return s.provider }
