package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
)

// registrations remembers what clients are registered with (names, scopes, keys, …), which every request needs and which
// hardly ever changes, so that it is not read again and again. What decides whether a client may act, which of its
// secrets work and which of its tokens count is in clientState and client_secrets, and is never remembered. That is read
// first, each time, and says which version of the registration belongs to it.
//
// The zero value is ready.
type registrations struct {
	mu   sync.RWMutex
	byID map[string]*knownRegistration
}

// knownRegistration does not change.
type knownRegistration struct {
	version, updatedAt sql.NullInt64
	registration
}

const (
	registrationsLimit = 1000    // clients
	registrationLimit  = 8 << 10 // bytes of one; a larger one is read each time
)

// known tells whether some version of the client's registration is remembered.
func (r *registrations) known(id string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id] != nil
}

// get returns what the client of this state is registered with, or nil.
func (r *registrations) get(state *clientState) *registration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := r.byID[state.id.String]
	if known == nil || known.version != state.version || known.updatedAt != state.updatedAt {
		return nil
	}
	return &known.registration
}

// put remembers what was read together with state. When there are too many, any other one has to go.
func (r *registrations) put(state clientState, what registration) {
	id := state.id.String
	if len(id)+what.size() > registrationLimit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*knownRegistration)
	}
	if r.byID[id] == nil && len(r.byID) >= registrationsLimit {
		for other := range r.byID {
			delete(r.byID, other)
			break
		}
	}
	r.byID[id] = &knownRegistration{state.version, state.updatedAt, what}
}

// forget is for a client whose particulars are erased.
func (r *registrations) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

func (r *registration) size() int {
	return len(r.name) + len(r.owner) + len(r.scope) + len(r.audience) + len(r.introspects) + len(r.grantTypes) +
		len(r.responseTypes) + len(r.redirectURIs) + len(r.authMethod) + len(r.authSigningAlg) + len(r.jwks) + len(r.jwksURI) +
		len(r.metadata)
}

var selectRegistration = `SELECT ` + clientStateColumns + `, ` + registrationColumns + ` FROM {clients} WHERE id = ?`

// client completes what was read of a client just now.
func (s *Store) client(ctx context.Context, state *clientState) (*Client, error) {
	if known := s.registrations.get(state); known != nil {
		return newClient(state, known)
	}
	var later clientState
	var read registration
	err := s.db.Read(ctx).QueryRow(selectRegistration, state.id.String).Scan(append(later.targets(), read.targets()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	return s.remember(ctx, state, later, read)
}

// remember completes state with a registration that was read together with with, which may be later. The client keeps the
// state: were it given the epoch of the later one, a secret that has ended in between would bring tokens of after that.
func (s *Store) remember(ctx context.Context, state *clientState, with clientState, read registration) (*Client, error) {
	client, err := newClient(state, &read)
	if err == nil && !database.InTransaction(ctx) { // what a transaction reads may be its own, and never come true
		s.registrations.put(with, read)
	}
	return client, err
}
