package config

import (
	"net/url"
	"slices"
	"time"
)

// minAuditRetention leaves a weekend and some days to find out what happened. Whoever writes 90h for 90 days is told so.
const minAuditRetention = 7 * 24 * time.Hour

// maxDrain is longer than any load balancer takes to notice.
const maxDrain = 10 * time.Minute

func (c Config) operationRules() []check {
	levels := []string{"debug", "info", "warn", "error"}
	return []check{
		{!slices.Contains(levels, c.Log.Level), "log.level", "must be debug, info, warn or error"},
		{c.Audit.Retention != 0 && c.Audit.Retention < minAuditRetention, "audit.retention", "must be at least 168h (7 days), or nobody could find out later what happened; 0s keeps events forever"},
		{c.Shutdown.Drain < 0 || c.Shutdown.Drain > maxDrain, "shutdown.drain", "must be between 0s and 10m"},
		found("tracing.endpoint", collectorProblem(c.Tracing.Endpoint)),
		{c.Tracing.SampleRatio < 0 || c.Tracing.SampleRatio > 1, "tracing.sample_ratio", "must be between 0 and 1"},
		{c.Tracing.MaxPerSecond < 1 || c.Tracing.MaxPerSecond > 10_000, "tracing.max_per_second", "must be between 1 and 10000; leave out tracing.endpoint to trace nothing"},
		{c.ClientIPHeader != "" && !c.BehindProxy, "client_ip_header", "needs behind_proxy: true; without a proxy anybody can send the header"},
		{unfitHeader(c.ClientIPHeader), "client_ip_header", "must be the name of a header that the proxy sets, such as X-Forwarded-For"},
		{c.Log.Format != "text" && c.Log.Format != "json", "log.format", "must be text or json"},
		{c.RateLimits.ClientPerHour < 0, "rate_limits.client_per_hour", "must not be negative; 0 means no limit"},
		{c.RateLimits.AddressPerHour < 0, "rate_limits.address_per_hour", "must not be negative; 0 means no limit"},
		{c.RateLimits.ClientFailuresPerMinute < 0, "rate_limits.client_failures_per_minute", "must not be negative; 0 means no limit"},
		{c.RateLimits.AddressFailuresPerMinute < 0, "rate_limits.address_failures_per_minute", "must not be negative; 0 means no limit"},
		{c.RateLimits.AddressPerHour > 0 && c.BehindProxy && c.ClientIPHeader == "", "rate_limits.address_per_hour", "needs client_ip_header: everybody has the proxy's address without it, and would share one limit"},
	}
}

// collectorProblem says why traces cannot be sent to a URL; "" if they can.
func collectorProblem(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case endpoint == "":
		return ""
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "must be an http or https URL, such as http://127.0.0.1:4318"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "must be a URL without user, query and fragment; credentials go into OTEL_EXPORTER_OTLP_HEADERS"
	}
	return ""
}
