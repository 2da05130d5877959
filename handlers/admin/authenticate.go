package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

// maxKey is longer than any key; what is longer cannot be one.
const maxKey = 512

// authenticate finds out who calls and whether they may do what needs role. From here on the request's audit events
// carry the name of the key.
func (a *api) authenticate(r *request, role audit.Role) error {
	from := clientaddr.Of(r.Request)
	key, err := a.adminKey(r.Request)
	if err != nil {
		var p *problem
		if errors.As(err, &p) && p.Status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
			return a.failedLogin(r, from, p)
		}
		return err
	}
	if role != "" && !key.Role.Allows(role) {
		return newProblem(http.StatusForbidden, "forbidden", "Not allowed",
			fmt.Sprintf("The admin key %q has the role %s; this needs %s. Use another key.", key.Name, key.Role, role))
	}
	r.actor = key.Name
	r.Request = r.WithContext(audit.WithOrigin(r.Context(), audit.Origin{Actor: key.Name, RequestID: r.id, IP: clientaddr.String(from)}))
	return nil
}

func unauthorized(detail, challenge string) *problem {
	return newProblem(http.StatusUnauthorized, "unauthorized", "An admin key is needed", detail).
		with("WWW-Authenticate", `Bearer realm="fosite-mcp admin"`+challenge) // RFC 6750 §3
}

func (a *api) adminKey(r *http.Request) (*audit.AdminKey, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return nil, unauthorized("Send an admin key: Authorization: Bearer mcp_ak_….", "")
	}
	wrong := unauthorized("The admin key is unknown, has expired or was revoked.", `, error="invalid_token"`)
	key, bearer := handlers.Credentials(r, "Bearer")
	if !bearer || key == "" || len(key) > maxKey {
		return nil, wrong
	}
	found, err := a.Store.AdminKeys().Find(r.Context(), key)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, wrong
	}
	return found, err
}

// failedLogin slows down whoever tries keys, and puts a sample on record: an attacker must not fill the disk. A good
// key is let in at any time, so that nobody can lock the operators out; keys are too long to be guessed.
func (a *api) failedLogin(r *request, from netip.Addr, p *problem) error {
	ip, state := clientaddr.String(from), a.Failures.Take(clientaddr.Network(from))
	if state.Exceeded {
		p = newProblem(http.StatusTooManyRequests, "too-many-failures", "Too many failed attempts",
			fmt.Sprintf("The admin key is wrong, and so were too many others from this address. Try again in %d seconds.", int(state.Wait.Seconds())))
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
