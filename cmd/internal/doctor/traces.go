package doctor

import (
	"context"

	"fosite-mcp/cmd/internal/tracing"
)

// checkTraces asks the collector of traces, where there is one, to take none.
func checkTraces(ctx context.Context, e *examination) []Finding {
	if e.Config.Tracing.Endpoint == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	if err := tracing.Probe(ctx, e.Config.Tracing); err != nil {
		return warning("start the collector, or correct tracing.endpoint or OTEL_EXPORTER_OTLP_HEADERS; nothing but the traces is lost", "the collector takes no traces: %v", err)
	}
	return ok("the collector takes traces")
}
