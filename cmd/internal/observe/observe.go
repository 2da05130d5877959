// Package observe counts, measures and logs what the server does, and does its housekeeping in the background.
package observe

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/provider"
	"fosite-mcp/storage/audit"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"
)

// Observer measures requests and the work behind them. Labels hold route templates, never what a client sent.
type Observer struct {
	Registry *prometheus.Registry
	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	cleaned  *prometheus.CounterVec
	cleaning *prometheus.CounterVec
	missing  *prometheus.CounterVec
	events   *prometheus.CounterVec
	log      *slog.Logger
	// Requests is the log of requests that did not fail; at the level info, or debug if Quiet. nil: the observer's log.
	Requests *slog.Logger
	Quiet    bool
	busy     *rate.Limiter // limits the log lines about a busy server
}

// New makes an observer that logs to log. pool is the database whose connections it counts.
func New(log *slog.Logger, pool *sql.DB) *Observer {
	o := &Observer{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fosite_mcp_http_request_duration_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"route", "method", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fosite_mcp_rate_limited_total", Help: "Requests answered with 429, by the limit that they exceeded.",
		}, []string{"limit"}),
		cleaned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fosite_mcp_cleanup_deleted_rows_total", Help: "Expired rows deleted by this process.",
		}, []string{"table"}),
		cleaning: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fosite_mcp_cleanup_runs_total", Help: "Clean-ups by this process: done, elsewhere (another process does it), failed.",
		}, []string{"outcome"}),
		missing: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fosite_mcp_missing_secret_tokens_total",
			Help: "Tokens of this server that could not be checked, because they were made with a system secret that this process does not have.",
		}, []string{"kind"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fosite_mcp_audit_events_total",
			Help: "What this process has put on record, and what it left out of a flood, by the names of the audit log.",
		}, []string{"action", "outcome"}),
		log:  log,
		busy: handlers.NewSample(),
	}
	for _, alarm := range Alarms {
		o.events.WithLabelValues(alarm.Action, alarm.Outcome)
	}
	for _, kind := range []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken, fosite.AuthorizeCode} {
		o.missing.WithLabelValues(string(kind))
	}
	for _, outcome := range []string{"done", "elsewhere", "failed"} {
		o.cleaning.WithLabelValues(outcome) // from zero on: an alert must see the first one
	}
	o.Registry.MustRegister(o.requests, o.refused, o.cleaned, o.cleaning, o.missing, o.events, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewDBStatsCollector(pool, "fosite_mcp"))
	return o
}

// Alarms are the audit events that an operator should alert on.
var Alarms = []audit.Event{
	{Action: provider.CodeReused, Outcome: audit.OutcomeFailure},
	{Action: provider.RefreshReused, Outcome: audit.OutcomeFailure},
	{Action: "token.revoked", Outcome: audit.OutcomeSuccess},
	{Action: "user.logged_in", Outcome: audit.OutcomeSuccess},
	{Action: "user.login_failed", Outcome: audit.OutcomeFailure},
	{Action: "client.login_failed", Outcome: audit.OutcomeFailure},
	{Action: "admin.login_failed", Outcome: audit.OutcomeFailure},
	{Action: "consent.granted", Outcome: audit.OutcomeSuccess},
	{Action: "consent.withdrawn", Outcome: audit.OutcomeSuccess},
}

// CountEvent counts an event. Callers cannot invent actions: all are names in this program.
func (o *Observer) CountEvent(event audit.Event) {
	o.events.WithLabelValues(event.Action, event.Outcome).Inc()
}

// CountLimited returns a function that counts a request beyond the limit.
func (o *Observer) CountLimited(limit string) func() { return o.refused.WithLabelValues(limit).Inc }

// CountMissingSecret counts a token whose system secret this process does not have. The request log holds the answer, 503.
func (o *Observer) CountMissingSecret(_ context.Context, kind fosite.TokenType) {
	o.missing.WithLabelValues(string(kind)).Inc()
}

// Metrics serves /metrics.
func (o *Observer) Metrics() http.Handler {
	return promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})
}

// statusClientClosed is the status of a request whose caller left before the answer, as in nginx: it is no failure.
const statusClientClosed = 499

// Middleware is middleware for a router: it measures every request, and logs it: as an error when the server failed, a sample as a
// warning while it is busy, and otherwise at the level info; those for health and metrics at the level debug.
func (o *Observer) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorded := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		o.recoverPanic(recorded, r, next)
		took := time.Since(start)
		if recorded.status >= http.StatusInternalServerError && errors.Is(r.Context().Err(), context.Canceled) {
			recorded.status = statusClientClosed
		}
		route := routeOf(r)
		o.requests.WithLabelValues(route, methodOf(r), strconv.Itoa(recorded.status)).Observe(took.Seconds())
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
	})
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
	line := make([]slog.Attr, 0, 10)
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
	if info.Parties != nil {
		optional("client_id", info.Parties.Client)
		optional("subject", info.Parties.Subject)
		optional("actor", info.Parties.Actor)
	}
	optional("trace_id", traceID(r))
	return line
}

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}`)

// traceID is the caller's trace (W3C Trace Context §3.2.2.3), or "".
func traceID(r *http.Request) string {
	if found := traceparent.FindStringSubmatch(r.Header.Get("Traceparent")); found != nil {
		return found[1]
	}
	return ""
}

func routeOf(r *http.Request) string {
	if route := mux.CurrentRoute(r); route != nil {
		if template, err := route.GetPathTemplate(); err == nil {
			return template
		}
	}
	return "unknown"
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
