package clients

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// registrations caches the registered members of clients (names, scopes, keys, …), which every request needs and which hardly
// ever change. State and client_secrets are never cached: they decide whether a client may act, which of its secrets work and
// which of its tokens count. They are read first, each time, and tell which version of the registration belongs to them.
//
// The zero value is ready.
type registrations struct {
	mu   sync.RWMutex
	byID map[string]*model.Client // which do not change
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
func (r *registrations) get(state *State) *model.Client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	known := r.byID[string(state.ID)]
	if known == nil || known.Version != state.Version.Int64 || !known.UpdatedAt.Equal(state.UpdatedAt.Time) {
		return nil
	}
	return known
}

// put remembers what was read together with state. When there are too many, any other one has to go.
func (r *registrations) put(state *State, read *model.Client) {
	id := string(state.ID)
	if len(id)+size(read) > registrationLimit {
		return
	}
	known := *read
	known.Version, known.UpdatedAt = state.Version.Int64, state.UpdatedAt
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*model.Client)
	}
	if r.byID[id] == nil && len(r.byID) >= registrationsLimit {
		for other := range r.byID {
			delete(r.byID, other)
			break
		}
	}
	r.byID[id] = &known
}

// forget is for a client whose particulars are erased.
func (r *registrations) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

func size(row *model.Client) int {
	n := 0
	for _, column := range row.Registration() {
		switch value := column.Value.(type) {
		case *string:
			n += len(*value)
		case *model.JSON:
			n += len(*value)
		case *model.List:
			for _, item := range *value {
				n += 16 + len(item) // with its header
			}
		}
	}
	return n
}

var selectRegistration = `SELECT ` + StateColumns("c") + `, ` + database.Qualified("c", registrationColumns) + ` FROM {clients} c WHERE c.id = ?`

// Complete is the client of a state that was read just now, without its secrets.
func (r *Registry) Complete(ctx context.Context, state *State) (fosite.Client, error) {
	client, err := r.complete(ctx, state)
	if err != nil {
		return nil, err
	}
	return client.Fosite(), nil
}

func (r *Registry) complete(ctx context.Context, state *State) (*client.Client, error) {
	if known := r.registrations.get(state); known != nil {
		return newClient(state, known)
	}
	var later State
	var read model.Client
	err := r.db.Read(ctx).QueryRow(selectRegistration, string(state.ID)).Scan(append(later.Targets(), registrationTargets(&read)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	return r.remember(ctx, state, &later, &read)
}

// remember completes state with a registration that was read together with with, which may be later. The client keeps the
// state: were it given the epoch of the later one, a secret that has ended in between would bring tokens of after that.
func (r *Registry) remember(ctx context.Context, state, with *State, read *model.Client) (*client.Client, error) {
	c, err := newClient(state, read)
	if err == nil && !database.InTransaction(ctx) { // what a transaction reads may be its own, and never come true
		r.registrations.put(with, read)
	}
	return c, err
}

// newClient is a client in this state.
func newClient(state *State, registration *model.Client) (*client.Client, error) {
	row := *registration
	row.ID, row.Status, row.Epoch, row.RevokedBefore = string(state.ID), string(state.Status), state.Epoch.Int64, state.RevokedBefore.Int64
	row.Version, row.UpdatedAt, row.ExpiresAt = state.Version.Int64, state.UpdatedAt, state.ExpiresAt
	return row.Client()
}
