package observe

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"fosite-mcp/cmd/internal/tracing"
	"fosite-mcp/handlers"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"
)

// Observer measures requests and the work behind them. Labels hold route templates, names of ours and ids of clients that an
// administrator has registered, never what anybody may send.
type Observer struct {
	Registry *prometheus.Registry
	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	cleaned  *prometheus.CounterVec
	cleaning *prometheus.CounterVec
	missing  *prometheus.CounterVec
	previous *prometheus.CounterVec
	events   *prometheus.CounterVec
	issued   *prometheus.CounterVec
	answers  *prometheus.CounterVec
	ending   *prometheus.GaugeVec
	build    *prometheus.GaugeVec
	database prometheus.Gauge
	auditLog *auditLog
	machines labels
	log      *slog.Logger
	// Requests is the log of requests that did not fail; at the level info, or debug if Quiet. nil: the observer's log.
	Requests *slog.Logger
	Quiet    bool
	Traces   *tracing.Tracing // nil: none
	busy     *rate.Limiter    // limits the log lines about a busy server
}

// mostClients bounds the clients that the metric of issued tokens tells apart.
const mostClients = 200

// soon is how far ahead clients are counted that end.
var soon = map[string]time.Duration{"24h": 24 * time.Hour, "168h": 7 * 24 * time.Hour, "720h": 30 * 24 * time.Hour}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fosite_mcp_" + name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "fosite_mcp_" + name, Help: help}, labels)
}

// New makes an observer that logs to log. pool is the database whose connections it counts.
func New(log *slog.Logger, pool *sql.DB) *Observer {
	o := &Observer{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fosite_mcp_http_request_duration_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}, []string{"route", "method", "status"}),
		refused:  counter("rate_limited_total", "Requests answered with 429, by the limit that they exceeded.", "limit"),
		cleaned:  counter("cleanup_deleted_rows_total", "Expired rows deleted by this process.", "table"),
		cleaning: counter("cleanup_runs_total", "Clean-ups by this process: done, elsewhere (another process does it), failed.", "outcome"),
		missing: counter("missing_secret_tokens_total",
			"Tokens of this server that could not be checked, because they were made with a system secret that this process does not have.", "kind"),
		previous: counter("previous_secret_tokens_total",
			"Live tokens that came and were made with another system secret than the current one. While there are any, that secret is needed.", "kind"),
		events: counter("audit_events_total",
			"What this process has put on record, and what it left out of a flood, by the names of the audit log.", "action", "outcome"),
		issued: counter("tokens_issued_total",
			"Access tokens, by the machine's client that got them ("+strconv.Itoa(mostClients)+" are told apart, all others are \"other\") and the grant type.", "client_id", "grant_type"),
		answers: counter("introspections_total", "Answers about tokens: active or inactive.", "answer"),
		ending: gauge("clients_ending",
			"Active clients that end within this time: by their own expires_at, or because the last of their secrets ends.", "within", "cause"),
		build:    gauge("build_info", "1; the version of the program and of its database schema.", "version", "revision", "schema"),
		database: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fosite_mcp_database_up", Help: "1: the database took a write within the last 15 seconds. 0: it did not."}),
		auditLog: newAuditLog(log),
		machines: labels{most: mostClients},
		log:      log,
		busy:     handlers.NewSample(),
	}
	for _, alarm := range Alarms {
		o.events.WithLabelValues(alarm.Action, alarm.Outcome)
	}
	for _, kind := range []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken, fosite.AuthorizeCode} {
		o.missing.WithLabelValues(string(kind))
		o.previous.WithLabelValues(string(kind))
	}
	for _, outcome := range []string{"done", "elsewhere", "failed"} {
		o.cleaning.WithLabelValues(outcome) // from zero on: an alert must see the first one
	}
	for _, answer := range []string{"active", "inactive"} {
		o.answers.WithLabelValues(answer)
	}
	o.Registry.MustRegister(o.requests, o.refused, o.cleaned, o.cleaning, o.missing, o.previous, o.events, o.issued, o.answers, o.ending, o.build, o.database,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewDBStatsCollector(pool, "fosite_mcp"))
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

// TellSecrets tells how many system secrets there are besides the current one.
func (o *Observer) TellSecrets(previous int) {
	count := prometheus.NewGauge(prometheus.GaugeOpts{Name: "fosite_mcp_previous_system_secrets", Help: "System secrets besides the current one."})
	count.Set(float64(previous))
	o.Registry.MustRegister(count)
}

// WatchClock measures how far this machine's clock is ahead of the database's.
func (o *Observer) WatchClock(difference func() time.Duration) {
	o.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fosite_mcp_clock_difference_seconds", Help: "How far this machine's clock is ahead of the database's; behind it is negative.",
	}, func() float64 { return difference().Seconds() }))
}

// TellBuild tells which program this is, and the version of the schema that it works on.
func (o *Observer) TellBuild(ctx context.Context, store *storage.Store, version, revision string) error {
	migrations, err := store.Migrations(ctx)
	if err != nil {
		return err
	}
	o.build.WithLabelValues(version, revision, strconv.FormatInt(migrations[len(migrations)-1].Version, 10)).Set(1)
	return nil
}

// countFacts counts what an answered request was about.
func (o *Observer) countFacts(facts *reqinfo.Facts) {
	switch facts.Issued {
	case "":
	case "client_credentials", client.JWTBearer:
		o.issued.WithLabelValues(o.machines.bound(facts.Client), facts.Issued).Inc()
	default: // people's clients register themselves, or have a URL of anybody's choice as their id
		o.issued.WithLabelValues("other", facts.Issued).Inc()
	}
	if facts.PreviousSecret != "" {
		o.previous.WithLabelValues(facts.PreviousSecret).Inc()
	}
	if facts.Introspected != "" {
		o.answers.WithLabelValues(facts.Introspected).Inc()
	}
}

// countEnding counts the clients that end soon. They stay as they were counted last where the database does not answer.
func (o *Observer) countEnding(ctx context.Context, store *storage.Store) {
	for within, d := range soon {
		count, err := store.Clients().CountEnding(ctx, d)
		if err != nil {
			if ctx.Err() == nil {
				o.log.WarnContext(ctx, "the clients that end soon were not counted", "cause", err)
			}
			return
		}
		o.ending.WithLabelValues(within, "client").Set(float64(count.Clients))
		o.ending.WithLabelValues(within, "secret").Set(float64(count.LastSecrets))
	}
}

// labels bounds the values of a label.
type labels struct {
	most  int
	mu    sync.Mutex
	known map[string]bool
}

// bound is value, or "other" where too many are known already.
func (l *labels) bound(value string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[value] {
		return value
	}
	if len(l.known) >= l.most {
		return "other"
	}
	if l.known == nil {
		l.known = make(map[string]bool)
	}
	l.known[value] = true
	return value
}

// Metrics serves /metrics.
func (o *Observer) Metrics() http.Handler {
	return promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})
}
