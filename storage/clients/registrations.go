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

// get returns the registration that is remembered of a client, in some version, or nil.
func (r *registrations) get(id string) *model.Client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// put remembers a registration and its version. When there are too many, any other one has to go.
func (r *registrations) put(id string, read model.Client) {
	if len(id)+size(&read) > registrationLimit {
		return
	}
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
	r.byID[id] = &read
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
	c, err := r.complete(ctx, state, r.registrations.get(string(state.ID)))
	if err != nil {
		return nil, err
	}
	return c.Fosite(), nil
}

// complete is the client of a state with a registration, which is read if it is nil or of another version. The client keeps
// the state, even where the registration is later: were it given a later epoch, a secret that has ended in between would bring
// tokens of after that.
func (r *Registry) complete(ctx context.Context, state *State, registration *model.Client) (*client.Client, error) {
	outdated := registration == nil || registration.Version != state.Version.Int64 || !registration.UpdatedAt.Equal(state.UpdatedAt.Time)
	if outdated {
		var later State
		registration = new(model.Client)
		err := r.db.Read(ctx).QueryRow(selectRegistration, string(state.ID)).Scan(append(later.Targets(), registrationTargets(registration)...)...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fosite.ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("storage: read a client: %w", err)
		}
		registration.Version, registration.UpdatedAt = later.Version.Int64, later.UpdatedAt
	}
	row := *registration
	row.ID, row.Status, row.Epoch, row.RevokedBefore = string(state.ID), string(state.Status), state.Epoch.Int64, state.RevokedBefore.Int64
	row.Version, row.UpdatedAt, row.ExpiresAt = state.Version.Int64, state.UpdatedAt, state.ExpiresAt
	c, err := row.Client()
	if err == nil && outdated {
		r.remember(ctx, row.ID, registration)
	}
	return c, err
}

// remember keeps a registration that was read. What a transaction reads may be its own, and never come true.
func (r *Registry) remember(ctx context.Context, id string, read *model.Client) {
	if !database.InTransaction(ctx) {
		r.registrations.put(id, *read)
	}
}
