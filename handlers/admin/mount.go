package admin

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fosite-mcp/handlers/failures"
	"fosite-mcp/handlers/limit"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// api is a mounted API: its settings, filled in, and what it remembers between requests.
type api struct {
	API
	clients  registry
	hosted   *hosted // nil: the store's own clients
	says     wording
	document []byte // OpenAPI
}

// Mount adds the API to r, which is usually a subrouter at /admin/v1. r answers every path below it. The root router
// should have SkipClean(true): it otherwise redirects ids that look like a path. When the fields do not fit together, Mount
// logs what to do about it, returns it as an error, and mounts nothing.
func (s *API) Mount(r *mux.Router) error {
	a := s.withDefaults()
	err := s.check()
	if err == nil {
		err = a.describe()
	}
	if err != nil {
		a.Log.Error("the admin API is not mounted", "cause", err)
		return err
	}
	r.UseEncodedPath() // %2F is a character of an id, not the end of it
	for path, operations := range a.routes() {
		r.Path(path).Handler(a.resource(operations))
	}
	r.PathPrefix("/").Handler(a.resource(nil))
	return nil
}

// check finds what would fail, or come to nothing, at a request.
func (s *API) check() error {
	switch {
	case s.Store == nil || s.NewSecret == nil || s.Hasher == nil || s.AccessTokenSignature == nil || s.RefreshTokenSignature == nil:
		return errors.New("admin: set API.Store, NewSecret, Hasher, AccessTokenSignature and RefreshTokenSignature")
	case s.Store.KeepsClients() && s.Clients != nil:
		return errors.New("admin: API.Clients is set, and API.Store has clients of its own, which are the ones that get tokens; " +
			"make the Store with storage.WithClients, or leave Clients out")
	case s.Store.KeepsClients():
		return nil
	}
	var errs []error
	if s.Clients == nil {
		errs = append(errs, errors.New("admin: API.Store was made with storage.WithClients and has no clients; "+
			"set API.Clients to an admin.Clients on the table that your fosite.ClientManager reads"))
	}
	if s.Authenticate == nil {
		errs = append(errs, errors.New("admin: API.Store was made with storage.WithClients and has no admin keys; set API.Authenticate"))
	}
	if s.Record == nil {
		errs = append(errs, errors.New("admin: API.Store was made with storage.WithClients and has no audit log; set API.Record"))
	}
	return errors.Join(errs...)
}

// routes are those of what this API can do.
func (a *api) routes() map[string]map[string]operation {
	offered := maps.Clone(routes)
	without := func(prefixes ...string) {
		maps.DeleteFunc(offered, func(path string, _ map[string]operation) bool {
			return slices.ContainsFunc(prefixes, func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") })
		})
	}
	if a.Record != nil {
		without("/audit", "/access", "/clients/{client_id}/usage")
	}
	if a.Record != nil || a.CheckpointKey == nil {
		without("/audit/checkpoint")
	}
	if a.hosted != nil {
		without("/issuers")
	}
	if !a.offersPeople() {
		without("/users", "/consents")
	}
	if !a.offersKeys() {
		without("/keys")
	}
	return offered
}

// offersKeys tells whether keys of the store open this API. Their changes are on record in the store.
func (a *api) offersKeys() bool { return a.says == ofKeys && a.offersPeople() }

// offersPeople tells whether people are the store's, and so is the record of what is changed of them.
func (a *api) offersPeople() bool { return a.hosted == nil && a.Record == nil }

// NotFound answers requests to the admin listener that are for nothing on it, as the API answers those for nothing in it.
func (s *API) NotFound() http.Handler { return s.refusal(nothingHere()) }

// Misdirected answers requests for a host that is not this server (RFC 9110 §15.5.20).
func (s *API) Misdirected(detail string) http.Handler {
	return s.refusal(newProblem(http.StatusMisdirectedRequest, "misdirected", "Not this host", detail))
}

func (s *API) refusal(p *problem) http.Handler {
	a := s.withDefaults()
	return http.HandlerFunc(func(w http.ResponseWriter, raw *http.Request) {
		r := &request{Request: raw, id: requestID(raw)}
		w.Header().Set("X-Request-Id", r.id)
		a.write(w, r, a.refuse(r, p))
	})
}

// withDefaults is the API with what was left out filled in.
func (s *API) withDefaults() *api {
	a := &api{API: *s, says: ofOthers}
	if a.Log == nil {
		a.Log = slog.Default()
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Recorder == nil {
		a.Recorder = failures.NewRecorder(a.Store, a.Log, a.Now)
		a.Recorder.Record = a.Record
	}
	if a.Failures == nil {
		a.Failures = limit.New[netip.Prefix]("address-failures", 10, time.Minute, a.Now)
	}
	if a.Narrow == nil {
		a.Narrow = func(_ fosite.Client, scope, audience []string) ([]string, []string) { return scope, audience }
	}
	if a.Rules.Now == nil {
		a.Rules.Now = a.Now
	}
	if a.Authenticate == nil {
		a.Authenticate, a.says = a.adminKey, ofKeys
	}
	if a.Clients != nil {
		a.hosted = &hosted{a.Clients, a.Store, a.Now}
		a.clients = a.hosted
	} else if a.Store != nil {
		a.clients = a.Store.Clients()
	}
	return a
}
