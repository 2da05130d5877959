package tracing

import (
	"fosite-mcp/config"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// sampler chooses the requests that are recorded: those whose caller records the trace, and a share of those without a trace; no
// more than so many a second of both, because anybody may ask for it.
type sampler struct {
	share sdk.Sampler
	most  *rate.Limiter
}

func newSampler(settings config.Tracing) sampler {
	return sampler{share: sdk.TraceIDRatioBased(settings.SampleRatio), most: rate.NewLimiter(rate.Limit(settings.MaxPerSecond), settings.MaxPerSecond)}
}

// Description implements [sdk.Sampler].
func (sampler) Description() string { return "fosite-mcp" }

// ShouldSample implements [sdk.Sampler]. The result has no tracestate: that of the caller is text of its choice.
func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	above := trace.SpanContextFromContext(p.ParentContext)
	wanted := above.IsSampled()
	if !above.IsValid() {
		wanted = s.share.ShouldSample(p).Decision == sdk.RecordAndSample
	}
	if wanted && (!above.IsValid() || above.IsRemote()) {
		wanted = s.most.Allow()
	}
	if wanted {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return sdk.SamplingResult{Decision: sdk.Drop}
}
