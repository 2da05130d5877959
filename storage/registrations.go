package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/ory/fosite"
)

// registrations remembers what clients are registered with (names, scopes, keys, …), which every request needs and which
// hardly ever changes, so that it is not read again and again. What decides whether a client may act, which of its
// secrets work and which of its tokens count is in clientState and client_secrets, and is never remembered. That is read
// first, each time, and says which version of the registration belongs to it.
//
// The zero value is ready.
type registrations struct {
	mu   sync.RWMutex
	rows map[string]*clientRow // by client id
}

const (
	registrationsLimit = 1000    // clients
	registrationLimit  = 8 << 10 // bytes of one; a larger one is read each time
)

// get returns what the client of this state is registered with, or nil.
func (r *registrations) get(state *clientState) *clientRow {
	r.mu.RLock()
	defer r.mu.RUnlock()
	row := r.rows[state.id.String]
	if row == nil || row.version != state.version || row.updatedAt != state.updatedAt {
		return nil
	}
	return row
}

// put remembers row, which must not change any more. When there are too many, any other one has to go.
func (r *registrations) put(row *clientRow) {
	if row.size() > registrationLimit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = make(map[string]*clientRow)
	}
	if _, known := r.rows[row.id.String]; !known && len(r.rows) >= registrationsLimit {
		for id := range r.rows {
			delete(r.rows, id)
			break
		}
	}
	r.rows[row.id.String] = row
}

func (r *clientRow) size() int {
	size := 0
	for _, text := range []sql.NullString{r.name, r.owner, r.scope, r.audience, r.introspects, r.grantTypes, r.responseTypes,
		r.redirectURIs, r.authMethod, r.authSigningAlg, r.jwks, r.jwksURI, r.metadata} {
		size += len(text.String)
	}
	return size
}

var selectRegistration = `SELECT ` + clientColumns + ` FROM clients WHERE id = ?`

// client completes what was read of a client just now.
func (s *Store) client(ctx context.Context, state *clientState) (*Client, error) {
	if known := s.registrations.get(state); known != nil {
		row := *known
		row.clientState = *state
		return row.client()
	}
	row := new(clientRow)
	err := s.read(ctx).QueryRowContext(ctx, selectRegistration, state.id.String).Scan(row.targets()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	if transactionFrom(ctx) == nil { // what a transaction reads may be its own, and never come true
		s.registrations.put(row)
	}
	return row.client()
}
