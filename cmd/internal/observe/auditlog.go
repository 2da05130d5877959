package observe

import (
	"context"
	"log/slog"
	"time"

	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// auditPart is how many events of the audit log are verified at once: every quarter minute, 17 million a day. It takes some 0.2 s.
	auditPart  = 3000
	auditLimit = 10 * time.Second
	auditEvery = 24 * time.Hour
)

// auditLog verifies the audit log once a day, a part at each call, and tells whether it is intact.
type auditLog struct {
	intact   prometheus.Gauge
	verified prometheus.Gauge
	now      func() time.Time
	log      *slog.Logger
	from     audit.Place
	begun    time.Time // of the round that is under way or over; zero: none was begun
	over     bool
}

// newAuditLog registers its metrics once there is something to tell: before, nobody knows whether the log is intact.
func newAuditLog(log *slog.Logger) *auditLog {
	return &auditLog{
		intact: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fosite_mcp_audit_log_intact",
			Help: "1: no event of the audit log was changed or removed when this process looked last, once a day. 0: one was."}),
		verified: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fosite_mcp_audit_log_verified_timestamp_seconds",
			Help: "When this process had last read the whole audit log and found it intact."}),
		now: time.Now,
		log: log,
	}
}

// verify goes on with the round that is under way, or begins the next one when it is time. Where the log cannot be read, the next
// call goes on.
func (a *auditLog) verify(ctx context.Context, store *storage.Store, registry *prometheus.Registry) {
	if a.over && a.now().Sub(a.begun) < auditEvery {
		return
	}
	if a.over || a.begun.IsZero() {
		a.from, a.begun, a.over = audit.Place{}, a.now(), false
	}
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	part, err := store.Audit().VerifyPart(ctx, a.from, auditPart)
	switch {
	case err != nil: // the check of the database tells of an outage
		return
	case part.FirstBad != 0:
		a.over = true
		a.intact.Set(0)
		a.log.ErrorContext(ctx, "the audit log is not intact: an event was changed, removed or put in; fosite-mcp audit verify tells more", "first_bad", part.FirstBad)
	case part.Done:
		a.over = true
		a.intact.Set(1)
		a.verified.Set(float64(a.now().Unix()))
		_ = registry.Register(a.verified)
	default:
		a.from = part.Next
		return
	}
	_ = registry.Register(a.intact) // again and again the same
}
