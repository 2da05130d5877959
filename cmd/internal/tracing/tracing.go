// Package tracing sends traces of requests to an OpenTelemetry collector. See [New].
//
// What leaves is an allow-list: spans of ours, with the route of a request and never its path, with SQL and never its values.
// Spans of libraries are not made, because theirs hold the text of errors.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/config"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/internal/spans"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
)

// flushing is how long the last spans may take at the end.
const flushing = 3 * time.Second

// Tracing makes the spans of requests. nil makes none.
type Tracing struct {
	spans  *sdk.TracerProvider
	tracer trace.Tracer
}

// New sends traces to the endpoint of the settings, with the statements on db. It is nil where there is no endpoint. Its headers,
// its certificate and the like come from the variables of OpenTelemetry.
func New(ctx context.Context, settings config.Tracing, version string, log *slog.Logger, db *gorm.DB) (*Tracing, error) {
	if settings.Endpoint == "" {
		return nil, nil
	}
	reportTo(log)
	if err := db.Use(statements{}); err != nil {
		return nil, err
	}
	collector, err := otlptrace.New(ctx, collectorAt(settings))
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "fosite-mcp"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if errors.Is(err, resource.ErrPartialResource) {
		otel.Handle(err) // what can be understood is told
	} else if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return with(sdk.NewBatchSpanProcessor(&exporter{SpanExporter: collector, log: log}), about, newSampler(settings)), nil
}

// collectorAt is the collector of the settings, whose endpoint has been checked.
func collectorAt(settings config.Tracing) otlptrace.Client {
	endpoint := settings.Endpoint
	if u, err := url.Parse(endpoint); err == nil && (u.Path == "" || u.Path == "/") {
		endpoint = u.JoinPath("v1", "traces").String()
	}
	return otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(endpoint))
}

// Probe sends the collector nothing, and returns why it does not take that.
func Probe(ctx context.Context, settings config.Tracing) error {
	reportTo(slog.New(slog.DiscardHandler))
	return collectorAt(settings).UploadTraces(ctx, nil)
}

// with makes the spans that sampler chooses, and gives them to processor.
func with(processor sdk.SpanProcessor, about *resource.Resource, sampler sdk.Sampler) *Tracing {
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit = 4096
	t := &Tracing{spans: sdk.NewTracerProvider(sdk.WithSpanProcessor(processor), sdk.WithResource(about), sdk.WithSampler(sampler), sdk.WithRawSpanLimits(limits))}
	t.tracer = provider{spans: t.spans}.Tracer(spans.Scope)
	return t
}

// Close sends the spans that wait, as long as that takes no more than a few seconds. Without a collector they are lost.
func (t *Tracing) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushing)
	defer cancel()
	_ = t.spans.Shutdown(ctx) // the exporter has logged why
}

// Begin begins the span of a request, as a part of the caller's trace. route is its template, without what a caller has put there.
func (t *Tracing) Begin(r *http.Request, method, route string) (*http.Request, trace.Span) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route)))
	return r.WithContext(ctx), span
}

// End ends the span of a request, with what the server has found out.
func End(span trace.Span, status int, facts *reqinfo.Facts) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	if facts == nil {
		return
	}
	for name, value := range map[string]string{
		"oauth.client_id": facts.Client, "oauth.grant_type": facts.GrantType, "oauth.error": facts.Refused, "oauth.introspected": facts.Introspected,
	} {
		if value != "" {
			span.SetAttributes(attribute.String(name, strings.ToValidUTF8(value, "?")))
		}
	}
}

// exporter says once that spans are not delivered, and once that they are again.
type exporter struct {
	sdk.SpanExporter
	log     *slog.Logger
	failing bool
}

// ExportSpans implements [sdk.SpanExporter]. It is never called by two at once.
func (e *exporter) ExportSpans(ctx context.Context, all []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, all)
	switch {
	case err != nil && !e.failing:
		e.log.WarnContext(ctx, "traces are not delivered and are lost meanwhile; nothing else is affected; check tracing.endpoint and the collector", "cause", err)
	case err == nil && e.failing:
		e.log.InfoContext(ctx, "traces are delivered again")
	}
	e.failing = err != nil
	return nil
}
