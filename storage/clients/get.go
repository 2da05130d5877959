package clients

import (
	"context"
	"database/sql"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// State is the part of a row of clients that decides whether the client may act and which tokens of it count. Every
// column may be NULL because of outer joins.
type State struct {
	Version              sql.NullInt64 // not valid: the join found no client
	UpdatedAt, ExpiresAt model.Time
	Status               Status
	Epoch, RevokedBefore sql.NullInt64
}

// Status is a [client.Status] that is read as a number, for which drivers allocate nothing.
type Status client.Status

// Scan implements [sql.Scanner].
func (s *Status) Scan(value any) error {
	switch value {
	case int64(1):
		*s = Status(client.Active)
	case int64(2):
		*s = Status(client.Disabled)
	default:
		*s = Status(client.Deleted)
	}
	return nil
}

// StateColumns are the columns of a [State] under the alias of a join with {clients}.
func StateColumns(alias string) string {
	return database.Qualified(alias, "version, updated_at, expires_at, epoch, revoked_before") +
		`, CASE ` + alias + `.status WHEN 'active' THEN 1 WHEN 'disabled' THEN 2 END`
}

// Targets are what StateColumns are scanned into.
func (s *State) Targets() []any {
	return []any{&s.Version, &s.UpdatedAt, &s.ExpiresAt, &s.Epoch, &s.RevokedBefore, &s.Status}
}

// expired tells whether the client may not act because it has expired.
func (s *State) expired(now time.Time) bool {
	return client.Status(s.Status) == client.Active && !s.Live(now)
}

// Live tells whether the client may act and its tokens count at the time now.
func (s *State) Live(now time.Time) bool {
	return client.Status(s.Status) == client.Active && (s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt.Time))
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
// their LastUsedAt, and the secrets without their Hint: see [Registry.Find]. Other requests share its lists and keys, so nobody
// may change them.
func (r *Registry) Get(ctx context.Context, id string) (fosite.Client, error) {
	return r.alone.Get(ctx, id, nil, nil)
}
