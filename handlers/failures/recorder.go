// Package failures puts failed logins, and uses of stolen tokens that change nothing, into the audit log. Make a [Recorder] with
// [NewRecorder], and give its methods to provider.Options, login.Options and admin.API.
package failures

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
	"golang.org/x/time/rate"
)

const recordTimeout = 5 * time.Second

// Recorder puts into the audit log what changes nothing, and of which an attacker can make as much as they like: failed
// logins of clients, people and administrators, and uses of stolen tokens whose grant has ended. It stores a sample of
// each kind, so that nobody can fill the disk, nor drown one kind in another. Make one with [NewRecorder].
type Recorder struct {
	// Counted is told of the events that were not stored; the store tells of the others (storage.WithAuditListener). nil:
	// nobody.
	Counted func(audit.Event)
	// Record stores an event; nil: the audit log of the store does.
	Record func(ctx context.Context, event audit.Event) error

	store   *storage.Store
	log     *slog.Logger
	now     func() time.Time
	mu      sync.Mutex
	samples map[string]*rate.Limiter // by action
}

// NewRecorder makes a recorder; a nil log is slog.Default, a nil clock time.Now.
func NewRecorder(store *storage.Store, log *slog.Logger, now func() time.Time) *Recorder {
	if log == nil {
		log = slog.Default()
	}
	if now == nil {
		now = time.Now
	}
	return &Recorder{store: store, log: log, now: now, samples: make(map[string]*rate.Limiter)}
}

// Note stores event, if its kind has room. Whoever hangs up meanwhile is put on record all the same.
func (rec *Recorder) Note(ctx context.Context, event audit.Event) {
	event.Outcome = audit.OutcomeFailure
	if rec.sampled(event.Action) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer cancel()
		err := rec.record(ctx, event)
		if err == nil {
			return
		}
		rec.log.ErrorContext(ctx, "an event is not in the audit log", "action", event.Action, "cause", err.Error())
	}
	if rec.Counted != nil {
		rec.Counted(event)
	}
}

func (rec *Recorder) record(ctx context.Context, event audit.Event) error {
	if rec.Record == nil {
		return rec.store.Audit().Append(ctx, event)
	}
	return rec.Record(ctx, event.Filled(ctx, rec.now()))
}

func (rec *Recorder) sampled(action string) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	sample := rec.samples[action]
	if sample == nil {
		sample = handlers.NewSample()
		rec.samples[action] = sample
	}
	return sample.AllowN(rec.now(), 1)
}

// Watch wraps a way of client authentication, see provider.Options.
func (rec *Recorder) Watch(next fosite.ClientAuthenticationStrategy) fosite.ClientAuthenticationStrategy {
	return func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		client, err := next(ctx, r, form)
		if errors.Is(err, fosite.ErrInvalidClient) {
			rec.Note(ctx, audit.Event{
				Actor: "unknown", Action: "client.login_failed", ClientID: claimedID(r, form), RequestID: handlers.RequestID(r), IP: clientaddr.String(clientaddr.Of(r)),
				Changes: fault(err, form),
			})
		}
		return client, err
	}
}

// fault is why a client was refused, and the resource that it asked for.
func fault(err error, form url.Values) json.RawMessage {
	changes := map[string]any{}
	if reason := strings.TrimPrefix(fosite.ErrorToRFC6749Error(err).DebugField, "client assertion: "); reason != "" {
		changes["reason"] = map[string]string{"after": shortened(reason)}
	}
	if resource := strings.Join(form["resource"], " "); resource != "" {
		changes["resource"] = map[string]string{"after": shortened(resource)}
	}
	if len(changes) == 0 {
		return nil
	}
	encoded, _ := json.Marshal(changes) // strings always encode
	return encoded
}

// LoginFailed is for login.Options.
func (rec *Recorder) LoginFailed(r *http.Request, method, username string) {
	changes := map[string]any{"method": map[string]string{"after": method}}
	if username != "" {
		changes["username"] = map[string]string{"after": username}
	}
	encoded, _ := json.Marshal(changes) // strings always encode
	rec.Note(r.Context(), audit.Event{Actor: "unknown", Action: "user.login_failed", RequestID: handlers.RequestID(r), Changes: encoded})
}

// Reused is for provider.Options. What ended a grant is on record already.
func (rec *Recorder) Reused(ctx context.Context, action string, grant fosite.Requester, signature string, ended bool) {
	if ended {
		return
	}
	clientID := grant.GetClient().GetID()
	rec.Note(ctx, audit.Event{Actor: "client:" + clientID, Action: action, ClientID: clientID, TokenID: storage.TokenID(signature)})
}

// AssertionRefused is for provider.Options: an assertion that was not exchanged for a token. issuer and subject are what it says.
func (rec *Recorder) AssertionRefused(ctx context.Context, ruleID, issuer, subject, reason string) {
	changes := map[string]any{}
	for name, value := range map[string]string{"issuer": issuer, "subject": subject, "reason": reason} {
		if value != "" {
			changes[name] = map[string]string{"after": shortened(value)}
		}
	}
	encoded, _ := json.Marshal(changes) // strings always encode
	rec.Note(ctx, audit.Event{Actor: "unknown", Action: "assertion.refused", ClientID: ruleID, Changes: encoded})
}

// shortened is the beginning of what somebody sent.
func shortened(sent string) string {
	const most = 200
	if len(sent) > most {
		return strings.ToValidUTF8(sent[:most], "") + "…"
	}
	return sent
}

var harmlessID = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// claimedID is who the request says it comes from, unless that looks like a secret in the wrong place.
func claimedID(r *http.Request, form url.Values) string {
	id, _, basic := handlers.BasicAuth(r)
	if !basic {
		id = form.Get("client_id")
	}
	if len(id) > 64 || !harmlessID.MatchString(id) {
		return ""
	}
	for _, prefix := range []string{"mcp_cs_", "mcp_ak_", "mcp_at_", "mcp_rt_", "mcp_ac_"} {
		if strings.HasPrefix(id, prefix) {
			return ""
		}
	}
	return id
}
