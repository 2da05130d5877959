package tracing

import (
	"fosite-mcp/config"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// sampler chooses the requests that are recorded: those whose caller records the trace, and a share of those without a trace; no
// more than so many a second of both. Anybody may ask for it, so what callers ask for leaves half of that to the share.
type sampler struct {
	share       sdk.Sampler
	most, asked *rate.Limiter
}

func newSampler(settings config.Tracing) sampler {
	most := settings.MaxPerSecond
	asked := most
	if settings.SampleRatio > 0 {
		asked = (most + 1) / 2
	}
	return sampler{
		share: sdk.TraceIDRatioBased(settings.SampleRatio),
		most:  rate.NewLimiter(rate.Limit(most), most), asked: rate.NewLimiter(rate.Limit(asked), asked),
	}
}

// Description implements [sdk.Sampler].
func (sampler) Description() string { return "fosite-mcp" }

// ShouldSample implements [sdk.Sampler]. The result has no tracestate: that of the caller is text of its choice.
func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	above := trace.SpanContextFromContext(p.ParentContext)
	wanted := above.IsSampled()
	switch {
	case !above.IsValid():
		wanted = s.share.ShouldSample(p).Decision == sdk.RecordAndSample && s.most.Allow()
	case above.IsRemote():
		wanted = wanted && s.asked.Allow() && s.most.Allow()
	}
	if wanted {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return sdk.SamplingResult{Decision: sdk.Drop}
}
