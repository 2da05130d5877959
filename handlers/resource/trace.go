package resource

import (
	"context"
	"net/http"
)

type traceKey struct{}

// withTrace remembers the trace of which a request is a part (W3C Trace
// Context), so that the authorization server's work for it is a part as well.
func withTrace(r *http.Request) context.Context {
	values := r.Header["Traceparent"]
	if len(values) != 1 || !isTraceparent(values[0]) {
		return r.Context()
	}
	return context.WithValue(r.Context(), traceKey{}, values[0])
}

// addTrace names the trace of ctx to the authorization server.
func addTrace(ctx context.Context, header http.Header) {
	if trace, ok := ctx.Value(traceKey{}).(string); ok {
		header["Traceparent"] = []string{trace}
	}
}

// isTraceparent tells whether s has the form of version 00: digits and hyphens,
// in which nothing can be hidden.
func isTraceparent(s string) bool {
	const form = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh"
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		digit := '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
		if form[i] == 'h' && !digit || form[i] != 'h' && s[i] != form[i] {
			return false
		}
	}
	return true
}
