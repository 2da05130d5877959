package authserver

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/config"
	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/provider"

	"github.com/ory/fosite"
)

// limits are the rate limits of the public listener. Requests beyond theirs are refused. Failed authentications beyond
// theirs are answered with 429 instead of 401: credentials are checked all the same, so that nobody is locked out by the
// failures of others.
type limits struct {
	address  *limit.Quota[netip.Prefix]
	client   *limit.Quota[string]
	failures *limit.Quota[netip.Prefix]
	register *limit.Quota[netip.Prefix]
	// Both have the same limit, so that no answer tells whether a client exists. They are apart, so that invented ids do not
	// displace clients. Ids are hashed because invented ones may be long.
	clientFailures, unknownClientFailures *limit.Quota[uint64]
	seed                                  maphash.Seed

	basePath string
	page     func(w http.ResponseWriter, r *http.Request, status int, err *fosite.RFC6749Error) // nil: there are no pages
}

func newLimits(cfg config.Config, observer *observe.Observer) *limits {
	set := cfg.RateLimits
	l := &limits{
		address:               limit.New[netip.Prefix]("address", set.AddressPerHour, time.Hour, nil),
		client:                limit.New[string]("client", set.ClientPerHour, time.Hour, nil),
		failures:              limit.New[netip.Prefix]("address-failures", set.AddressFailuresPerMinute, time.Minute, nil),
		register:              limit.New[netip.Prefix]("registrations", cfg.Registration.AddressPerHour, time.Hour, nil),
		clientFailures:        limit.New[uint64]("client-failures", set.ClientFailuresPerMinute, time.Minute, nil),
		unknownClientFailures: limit.New[uint64]("client-failures", set.ClientFailuresPerMinute, time.Minute, nil),
		seed:                  maphash.MakeSeed(),
		basePath:              cfg.BasePath,
	}
	l.address.Refused, l.client.Refused, l.failures.Refused = observer.CountLimited("address"), observer.CountLimited("client"), observer.CountLimited("address-failures")
	l.register.Refused = observer.CountLimited("registrations")
	l.clientFailures.Refused = observer.CountLimited("client-failures")
	l.unknownClientFailures.Refused = l.clientFailures.Refused
	return l
}

// middleware limits the requests of each address. Probes do not count, nor preflights, which browsers make on their own, nor
// what a proxy asks for everybody.
func (l *limits) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		if !preflight && !isProbe(r) && r.URL.Path != l.basePath+"/verify" {
			state := l.address.Take(clientaddr.Network(clientaddr.Of(r)))
			state.Tell(w.Header())
			if state.Exceeded {
				l.refuse(w, r, state)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// browserPages are the endpoints below the base path that people look at.
var browserPages = []string{"authorize", "login", "consent", "logout", "grants"}

// refuse answers in the format of the endpoint.
func (l *limits) refuse(w http.ResponseWriter, r *http.Request, state limit.State) {
	endpoint, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, l.basePath+"/"), "/")
	if l.page != nil && slices.Contains(browserPages, endpoint) {
		l.page(w, r, http.StatusTooManyRequests, nil)
		return
	}
	handlers.Refuse(tooManyRequests("This address", state)).ServeHTTP(w, r)
}

// registration counts a registration, and refuses it when its address has sent too many.
func (l *limits) registration(w http.ResponseWriter, r *http.Request) *fosite.RFC6749Error {
	return take(l.register, clientaddr.Network(clientaddr.Of(r)), "This address", w.Header())
}

// document counts a metadata document that is to be fetched, like a registration.
func (l *limits) document(ctx context.Context) error {
	info := reqinfo.From(ctx)
	if refused := take(l.register, clientaddr.Network(info.Address), "This address", info.Answer); refused != nil {
		return refused
	}
	return nil
}

// take counts a request under key, and refuses one too many of whoever that is. The answer, if there is one, tells the state.
func take[K comparable](quota *limit.Quota[K], key K, who string, answer http.Header) *fosite.RFC6749Error {
	state := quota.Take(key)
	if state.Tell(answer); state.Exceeded {
		return tooManyRequests(who, state)
	}
	return nil
}

// tooManyRequests is temporarily_unavailable: after invalid_client or the like, clients would discard valid tokens.
func tooManyRequests(who string, state limit.State) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{
		ErrorField:       fosite.ErrTemporarilyUnavailable.ErrorField,
		DescriptionField: fmt.Sprintf("%s has sent too many requests. Try again in %d seconds.", who, int(state.Wait.Seconds())),
		CodeField:        http.StatusTooManyRequests,
	}
}

// authenticate wraps client authentication. It limits the requests of each authenticated client, and the failures by address
// and by client. Requests of public clients do not count: anybody can send them. Who is let in is noted for the log of requests.
func (l *limits) authenticate(next fosite.ClientAuthenticationStrategy) fosite.ClientAuthenticationStrategy {
	return func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		client, err := next(ctx, r, form)
		if errors.Is(err, fosite.ErrInvalidClient) && hasCredentials(r, form) {
			return nil, l.failed(r, reqinfo.From(ctx).Answer, err)
		}
		if err != nil {
			return client, err
		}
		if !client.IsPublic() {
			if refused := take(l.client, client.GetID(), "This client", reqinfo.From(ctx).Answer); refused != nil {
				return nil, refused
			}
		}
		reqinfo.Note(ctx).Client = client.GetID()
		return client, nil
	}
}

// workload limits the exchanges of each workload as authenticate does the requests of each client.
func (l *limits) workload(ctx context.Context, ruleID, subject string) error {
	if refused := take(l.client, ruleID+" "+subject, "This workload", reqinfo.From(ctx).Answer); refused != nil {
		return refused
	}
	return nil
}

// assertionFailed counts an assertion that was not exchanged for a token, like a failed authentication. Its error is the answer
// beyond the limit of the address.
func (l *limits) assertionFailed(ctx context.Context) error {
	info := reqinfo.From(ctx)
	state := l.failures.Take(clientaddr.Network(info.Address))
	if state.Tell(info.Answer); !state.Exceeded {
		return nil
	}
	refused := *fosite.ErrInvalidGrant
	refused.CodeField = http.StatusTooManyRequests
	return refused.WithHintf("The assertion was not accepted. Too many attempts have failed; wait %d seconds before the next one.", int(state.Wait.Seconds()))
}

// failed counts a failure. Beyond a limit it answers 429. Failures of an address beyond its limit do not count for the client.
func (l *limits) failed(r *http.Request, answer http.Header, err error) error {
	state := l.failures.Take(clientaddr.Network(clientaddr.Of(r)))
	state.Tell(answer)
	var tried *provider.RefusedClient
	if !state.Exceeded && errors.As(err, &tried) && tried.ClientID != "" {
		quota := l.unknownClientFailures
		if tried.Exists {
			quota = l.clientFailures
		}
		state = quota.Take(maphash.String(l.seed, tried.ClientID))
		state.Tell(answer)
	}
	if !state.Exceeded {
		return err
	}
	refused := *fosite.ErrorToRFC6749Error(err)
	refused.CodeField = http.StatusTooManyRequests
	return refused.WithHintf("%s Too many attempts have failed; wait %d seconds before the next one.", refused.HintField, int(state.Wait.Seconds()))
}

// hasCredentials reports whether a request tried to authenticate: a client id alone is no attempt.
func hasCredentials(r *http.Request, form url.Values) bool {
	return r.Header.Get("Authorization") != "" || form.Get("client_secret") != "" || form.Get("client_assertion") != ""
}
