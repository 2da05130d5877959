package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
	"golang.org/x/time/rate"
)

// Recorder puts failed client authentications into the audit log: a sample of them, so that an attacker cannot fill
// the disk. Make one with [NewRecorder].
type Recorder struct {
	store  *storage.Store
	log    *slog.Logger
	now    func() time.Time
	sample *rate.Limiter
}

// NewRecorder makes a recorder; a nil log is slog.Default, a nil clock time.Now.
func NewRecorder(store *storage.Store, log *slog.Logger, now func() time.Time) *Recorder {
	if log == nil {
		log = slog.Default()
	}
	if now == nil {
		now = time.Now
	}
	return &Recorder{store: store, log: log, now: now, sample: handlers.NewSample()}
}

// Watch wraps a way of client authentication. from tells where a request came from; nil: clientaddr.Peer.
func (rec *Recorder) Watch(next fosite.ClientAuthenticationStrategy, from func(*http.Request) netip.Addr) fosite.ClientAuthenticationStrategy {
	if from == nil {
		from = clientaddr.Peer
	}
	return func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		client, err := next(ctx, r, form)
		if errors.Is(err, fosite.ErrInvalidClient) && rec.sample.AllowN(rec.now(), 1) {
			rec.record(ctx, r, claimedID(r, form), clientaddr.String(from(r)))
		}
		return client, err
	}
}

func (rec *Recorder) record(ctx context.Context, r *http.Request, clientID, ip string) {
	event := storage.AuditEvent{
		Actor: "unknown", Action: "client.login_failed", ClientID: clientID, RequestID: requestID(r), IP: ip, Outcome: storage.OutcomeFailure,
	}
	if err := rec.store.AppendAudit(ctx, event); err != nil {
		rec.log.ErrorContext(ctx, "a failed client authentication is not in the audit log", "cause", err.Error())
	}
}

var harmlessID = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// claimedID is who the request says it comes from, unless that looks like a secret in the wrong place.
func claimedID(r *http.Request, form url.Values) string {
	id, _, basic := handlers.BasicAuth(r)
	if !basic {
		id = form.Get("client_id")
	}
	if !harmlessID.MatchString(id) {
		return ""
	}
	for _, prefix := range []string{"mcp_cs_", "mcp_ak_", "mcp_at_", "mcp_rt_", "mcp_ac_"} {
		if strings.HasPrefix(id, prefix) {
			return ""
		}
	}
	return id
}
