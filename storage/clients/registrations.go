package clients

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
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
	byID map[string]*client.Client // which do not change
}

const (
	registrationsLimit = 1000    // clients
	registrationLimit  = 8 << 10 // bytes of one; a larger one is read each time
)

// get returns the registration that is remembered of a client, in some version, or nil.
func (r *registrations) get(id string) *client.Client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// put remembers a registration and its version, if row, which it was read from, is not too large. When there are too many, any
// other one has to go.
func (r *registrations) put(registered *client.Client, row *model.Client) {
	if len(registered.ID)+size(row) > registrationLimit {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*client.Client)
	}
	if r.byID[registered.ID] == nil && len(r.byID) >= registrationsLimit {
		for other := range r.byID {
			delete(r.byID, other)
			break
		}
	}
	r.byID[registered.ID] = registered
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

// registrationColumns are those of what a client was registered with.
var registrationColumns = func() string {
	var names []string
	for _, column := range new(model.Client).Registration() {
		names = append(names, column.Name)
	}
	return strings.Join(names, ", ")
}()

func registrationTargets(row *model.Client) []any {
	var targets []any
	for _, column := range row.Registration() {
		targets = append(targets, column.Value)
	}
	return targets
}

var selectRegistration = `SELECT ` + StateColumns("c") + `, ` + database.Qualified("c", registrationColumns) + ` FROM {clients} c WHERE c.id = ?`

// Complete is the client of a state that was read just now, without its secrets.
func (r *Registry) Complete(ctx context.Context, id string, state *State) (fosite.Client, error) {
	c, err := r.complete(ctx, id, state, r.registrations.get(id))
	if err != nil {
		return nil, err
	}
	return c.Fosite(), nil
}

// complete is the client of a state with a registration, which is read if it is nil or of another version. The client keeps
// the state, even where the registration is later: were it given a later epoch, a secret that has ended in between would bring
// tokens of after that. It shares its lists and keys with other requests.
func (r *Registry) complete(ctx context.Context, id string, state *State, registered *client.Client) (*client.Client, error) {
	if registered == nil || registered.Version != state.Version.Int64 || !registered.UpdatedAt.Equal(state.UpdatedAt.Time) {
		var later State
		var row model.Client
		err := r.db.QueryRow(ctx, selectRegistration, id).Scan(append(later.Targets(), registrationTargets(&row)...)...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fosite.ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("storage: read a client: %w", err)
		}
		if registered, err = r.registered(ctx, id, &later, &row); err != nil {
			return nil, err
		}
	}
	c := *registered
	c.Status, c.Epoch, c.RevokedBefore = client.Status(state.Status), state.Epoch.Int64, model.RevokedBefore(state.RevokedBefore.Int64)
	c.Version, c.UpdatedAt, c.ExpiresAt = state.Version.Int64, state.UpdatedAt.Time, state.ExpiresAt.Time
	return &c, nil
}

// registered is the registration of a row that was read with its state. It is remembered, unless a transaction has read it:
// that may be the transaction's own, and never come true.
func (r *Registry) registered(ctx context.Context, id string, state *State, row *model.Client) (*client.Client, error) {
	row.ID, row.Version, row.UpdatedAt = id, state.Version.Int64, state.UpdatedAt
	registered, err := row.Client()
	if err == nil && !database.InTransaction(ctx) {
		r.registrations.put(registered, row)
	}
	return registered, err
}
