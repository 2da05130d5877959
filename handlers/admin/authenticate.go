package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// maxKey is longer than any key; what is longer cannot be one.
const maxKey = 512

// Actor is who calls the API.
type Actor struct {
	Name string     // the actor of audit events
	Role audit.Role // what they may do; empty: nothing
	// Clients are the ids of the only clients, and rules about issuers, that they may see and change. nil: all.
	Clients []string

	person bool // whom a provider has named: no admin key ends this request
}

// May tells whether the caller may do an operation of the API, such as POST of /clients/{client_id}/disable.
func (c Actor) May(method, path string) bool {
	op, known := routes[path][method]
	return known && c.Role.Allows(op.role) && (c.Clients == nil || op.reach != reachAll)
}

// As returns a context whose requests to the API come from caller. It is for pages in this process that have found out
// themselves who that is: no request from outside has such a context.
func As(ctx context.Context, caller Actor) context.Context {
	return context.WithValue(ctx, insideKey{}, caller)
}

// AsPerson is [As] for somebody who has no admin key. caller.Name must not be one of a key.
func AsPerson(ctx context.Context, caller Actor) context.Context {
	caller.person = true
	return As(ctx, caller)
}

type insideKey struct{}

// Refusal is the error of an [API.Authenticate] that knows that the caller may not come in: 401. Any other error says that
// this cannot be found out now: 503.
type Refusal struct {
	// Challenge is the WWW-Authenticate of the answer (RFC 9110 §11.6.1), such as `Bearer realm="admin"`, which it is when empty.
	Challenge string
	// Detail tells the caller what to send; it quotes no credentials.
	Detail string
}

// Error implements [error].
func (r *Refusal) Error() string { return "admin: the caller is refused: " + r.Detail }

// authenticate finds out who calls and whether they may do op; nil: there is no such operation. From here on the request's
// audit events carry the name of the actor.
func (a *api) authenticate(r *request, op *operation) error {
	from := clientaddr.Of(r.Request)
	actor, inside := r.Context().Value(insideKey{}).(Actor)
	var err error
	if !inside {
		actor, err = a.Authenticate(r.Request)
	}
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		p := newProblem(http.StatusUnauthorized, "unauthorized", a.says.refused, cmp.Or(refusal.Detail, "The credentials are missing, or are not accepted.")).
			with("WWW-Authenticate", cmp.Or(refusal.Challenge, `Bearer realm="admin"`))
		if r.Header.Get("Authorization") != "" {
			return a.failedLogin(r, from, p)
		}
		return p
	case err != nil:
		return err
	case actor.Name == "":
		return errors.New("admin: Authenticate has returned an Actor without a Name; audit events need one")
	}
	if err := a.allowed(actor, op); err != nil {
		return err
	}
	r.caller = actor
	reqinfo.Note(r.Context()).Actor = actor.Name
	r.Request = r.WithContext(audit.WithOrigin(r.Context(), audit.Origin{Actor: actor.Name, RequestID: r.id, IP: clientaddr.String(from)}))
	return nil
}

// allowed refuses who may not do op; nil: there is no such operation.
func (a *api) allowed(actor Actor, op *operation) error {
	switch {
	case op == nil:
		return nil
	case !actor.Role.Allows(op.role):
		return newProblem(http.StatusForbidden, "forbidden", "Not allowed", fmt.Sprintf(a.says.forbidden, actor.Name, actor.Role, op.role))
	case actor.Clients != nil && op.reach == reachAll:
		return newProblem(http.StatusForbidden, "forbidden", "Not allowed", fmt.Sprintf(a.says.bound, actor.Name, op.role))
	}
	return nil
}

// wording is how a refusal calls what the caller has sent.
type wording struct{ refused, forbidden, bound, tooMany string }

var (
	ofKeys = wording{
		"An admin key is needed", "The admin key %q has the role %s; this needs %s. Use another key.",
		"The admin key %q is for single clients; this needs a key with the role %s that is for all. Use another key.",
		"The admin key is wrong, and so were too many others from this address. Try again in %d seconds.",
	}
	ofOthers = wording{
		"Authentication is needed", "%q has the role %q; this needs %s.",
		"%q may see and change single clients; this needs the role %s for all.",
		"Too many attempts from this address were refused. Try again in %d seconds.",
	}
)

// RFC 6750 §3
const (
	keyRealm   = `Bearer realm="fosite-mcp admin"`
	keyInvalid = `, error="invalid_token"`
)

// adminKey is the Authenticate of those who have a key of the store.
func (a *api) adminKey(r *http.Request) (Actor, error) {
	if len(r.Header.Values("Authorization")) == 0 {
		return Actor{}, &Refusal{Challenge: keyRealm, Detail: "Send an admin key: Authorization: Bearer mcp_ak_…."}
	}
	wrong := &Refusal{Challenge: keyRealm + keyInvalid, Detail: "The admin key is unknown, has expired or was revoked."}
	key, bearer := handlers.Credentials(r, "Bearer")
	if !bearer || key == "" || len(key) > maxKey {
		return Actor{}, wrong
	}
	found, err := a.Store.AdminKeys().Find(r.Context(), key)
	if errors.Is(err, fosite.ErrNotFound) {
		return Actor{}, wrong
	}
	if err != nil {
		return Actor{}, err
	}
	return Actor{Name: found.Name, Role: found.Role, Clients: found.Clients}, nil
}

// holdKey refuses a change whose key has ended since the caller was authenticated. A request can wait for its body until then, and
// what it makes would outlive the key.
func (a *api) holdKey(ctx context.Context, caller Actor) error {
	if a.says != ofKeys || caller.person {
		return nil
	}
	err := a.Store.AdminKeys().Hold(ctx, caller.Name)
	if errors.Is(err, fosite.ErrNotFound) {
		return newProblem(http.StatusUnauthorized, "unauthorized", a.says.refused, "The admin key has ended while the request was under way. Nothing was changed.").
			with("WWW-Authenticate", keyRealm+keyInvalid)
	}
	return err
}

// failedLogin slows down whoever tries keys, and puts a sample on record: an attacker must not fill the disk. A good
// key is let in at any time, so that nobody can lock the operators out; keys are too long to be guessed.
func (a *api) failedLogin(r *request, from netip.Addr, p *problem) error {
	ip, state := clientaddr.String(from), a.Failures.Take(clientaddr.Network(from))
	if state.Exceeded {
		p = newProblem(http.StatusTooManyRequests, "too-many-failures", "Too many failed attempts",
			fmt.Sprintf(a.says.tooMany, int(state.Wait.Seconds())))
		p.header = http.Header{}
		state.Tell(p.header)
		return p
	}
	state.Tell(p.header)
	a.Log.WarnContext(r.Context(), "admin login failed", "request_id", r.id, "ip", ip)
	a.Recorder.Note(r.Context(), audit.Event{Actor: "unknown", Action: "admin.login_failed", RequestID: r.id, IP: ip})
	return p
}

// EnsureKey makes sure that key is an admin key, with every right if it is new: the first key of a server, from its
// configuration or generated with [NewKey] at its first start. Call it at every start. Another key in the configuration
// is added; the ones before work until they are revoked.
func EnsureKey(ctx context.Context, store *storage.Store, key string) (k *audit.AdminKey, created bool, err error) {
	return store.AdminKeys().Ensure(ctx, "admin", key, audit.RoleAdmin)
}
