// Package observe counts, measures and logs what the server does, and does its housekeeping in the background.
package observe

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/cmd/internal/tracing"
	"fosite-mcp/internal/reqinfo"

	"go.opentelemetry.io/otel/trace"
)

// statusClientClosed is the status of a request whose caller left before the answer, as in nginx: it is no failure.
const statusClientClosed = 499

// Serve has next answer a request. It measures the request, and logs it: as an error when the server failed, a sample as a warning
// while it is busy, and otherwise at the level info; those for health and metrics at the level debug. route is the template of
// its path.
func (o *Observer) Serve(w http.ResponseWriter, r *http.Request, route string, next http.Handler) {
	start := time.Now()
	var span trace.Span
	if o.Traces != nil && !slices.Contains(watched, route) {
		r, span = o.Traces.Begin(r, methodOf(r), route)
	}
	recorded := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	o.recoverPanic(recorded, r, next)
	took := time.Since(start)
	if recorded.status >= http.StatusInternalServerError && errors.Is(r.Context().Err(), context.Canceled) {
		recorded.status = statusClientClosed
	}
	facts := reqinfo.From(r.Context()).Facts
	if span != nil {
		tracing.End(span, recorded.status, facts)
	}
	o.requests.WithLabelValues(route, methodOf(r), strconv.Itoa(recorded.status)).Observe(took.Seconds())
	if facts != nil {
		o.countFacts(facts)
	}
	level := slog.LevelInfo
	if o.Quiet || slices.Contains(watched, route) {
		level = slog.LevelDebug
	}
	switch {
	case recorded.busy && recorded.status == http.StatusServiceUnavailable:
		if level = slog.LevelDebug; o.busy.AllowN(start, 1) {
			level = slog.LevelWarn
		}
	case recorded.status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	log := o.log
	if level < slog.LevelWarn && o.Requests != nil {
		log = o.Requests
	}
	if log.Enabled(r.Context(), level) {
		log.LogAttrs(r.Context(), level, "request", describe(r, route, recorded.status, took)...)
	}
}

// recoverPanic answers 500 when a handler panics, and logs the stack.
func (o *Observer) recoverPanic(w *statusRecorder, r *http.Request, next http.Handler) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause == http.ErrAbortHandler {
			panic(cause) // the server's own way to end a connection
		}
		o.log.ErrorContext(r.Context(), "a handler panicked", "path", r.URL.EscapedPath(), "cause", cause, "stack", string(debug.Stack()))
		w.WriteHeader(http.StatusInternalServerError)
	}()
	next.ServeHTTP(w, r)
}

// watched are the routes that other programs ask all the time.
var watched = []string{"/livez", "/readyz", "/metrics"}

// describe is a line about a request. It holds the route and not the path, in which a caller may have put anything, and what the
// server has found out about the caller.
func describe(r *http.Request, route string, status int, took time.Duration) []slog.Attr {
	info := reqinfo.From(r.Context())
	line := make([]slog.Attr, 0, 12)
	line = append(line, slog.String("method", methodOf(r)), slog.String("route", route), slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000))
	optional := func(name, value string) {
		if value != "" {
			line = append(line, slog.String(name, value))
		}
	}
	optional("request_id", info.ID)
	if info.Address.IsValid() {
		optional("ip", info.Address.String())
	}
	if info.Facts != nil {
		optional("client_id", info.Facts.Client)
		optional("secret_id", info.Facts.Secret)
		optional("subject", info.Facts.Subject)
		optional("actor", info.Facts.Actor)
		optional("grant_type", info.Facts.GrantType)
		optional("oauth_error", info.Facts.Refused)
	}
	optional("trace_id", traceOf(r))
	return line
}

// traceOf is the trace that the request is a part of: ours where the caller has none.
func traceOf(r *http.Request) string {
	if span := trace.SpanContextFromContext(r.Context()); span.IsSampled() {
		return span.TraceID().String()
	}
	return traceID(r)
}

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}`)

// traceID is the caller's trace (W3C Trace Context §3.2.2.3), or "".
func traceID(r *http.Request) string {
	if found := traceparent.FindStringSubmatch(r.Header.Get("Traceparent")); found != nil {
		return found[1]
	}
	return ""
}

// methodOf bounds the values of a label: a caller can invent methods.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// statusRecorder remembers the status of an answer, and whether it says that the server is busy.
type statusRecorder struct {
	http.ResponseWriter
	status int
	busy   bool
}

// Busy is what [handlers.TellBusy] calls.
func (w *statusRecorder) Busy() { w.busy = true }

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] reach the real writer.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
