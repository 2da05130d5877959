package clients

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// State is the part of a row of clients that decides whether the client may act and which tokens of it count. Every
// column may be NULL because of outer joins.
type State struct {
	ID                            model.Text // empty: the join found no client
	Status                        model.Text
	Epoch, RevokedBefore, Version sql.NullInt64
	UpdatedAt, ExpiresAt          model.Time
}

// StateColumns are the columns of a [State] under the alias of a join with {clients}.
func StateColumns(alias string) string {
	return database.Qualified(alias, "id, status, epoch, revoked_before, version, updated_at, expires_at")
}

// Targets are what StateColumns are scanned into.
func (s *State) Targets() []any {
	return []any{&s.ID, &s.Status, &s.Epoch, &s.RevokedBefore, &s.Version, &s.UpdatedAt, &s.ExpiresAt}
}

// expired tells whether the client may not act because it has expired.
func (s *State) expired(now time.Time) bool {
	return client.Status(s.Status) == client.Active && !s.Live(now)
}

// Live tells whether the client may act and its tokens count at the time now.
func (s *State) Live(now time.Time) bool {
	return client.Status(s.Status) == client.Active && (s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt.Time))
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

const secretColumns = `id, hash, epoch, created_at, expires_at, ends_others`

// secretRow is a secret that works, as seen through an outer join.
type secretRow struct {
	id, hash             model.Text
	epoch, endsOthers    sql.NullInt64
	createdAt, expiresAt model.Time
}

func (s *secretRow) targets() []any {
	return []any{&s.id, &s.hash, &s.epoch, &s.createdAt, &s.expiresAt, &s.endsOthers}
}

// Get answers what [fosite.ClientManager] asks for: the client, or [fosite.ErrNotFound] for one that does not exist,
// is disabled ([client.ErrDisabled]), expired (a [client.ExpiredError]) or deleted; only secrets that work now are on the client. The client and its secrets come without
// their LastUsedAt, and the secrets without their Hint: see [Registry.Find].
func (r *Registry) Get(ctx context.Context, id string) (fosite.Client, error) {
	return r.alone.Get(ctx, id, nil, nil)
}
