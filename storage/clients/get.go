package clients

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// authRow is the part of a client that its authentication reads. Rows are pooled, because every request reads one. A scan
// overwrites all columns of its query.
type authRow struct {
	state        State
	secret       secretRow
	registration model.Client

	stateTargets, allTargets []any
	targets                  []any // those of the last query
}

var authRows = sync.Pool{New: func() any {
	row := new(authRow)
	row.stateTargets = append(row.state.Targets(), row.secret.targets()...)
	row.allTargets = append(slices.Clone(row.stateTargets), registrationTargets(&row.registration)...)
	return row
}}

// A Join says what else to read in the statement that reads a client.
type Join struct{ short, full string }

// NewJoin makes statements that also select columns by joins, which take one value. The aliases c and s are taken.
func NewJoin(columns, joins string) *Join {
	statement := func(own string) string {
		return `SELECT ` + own + columns + ` FROM {clients} c
	LEFT JOIN {client_secrets} s ON s.client_id = c.id AND s.deleted_at IS NULL` + joins + ` WHERE c.id = CAST(? AS TEXT)`
	}
	own := StateColumns("c") + ", " + database.Qualified("s", secretColumns)
	return &Join{short: statement(own), full: statement(own + ", " + database.Qualified("c", registrationColumns))}
}

var clientAlone = NewJoin("", "")

// Get answers what [fosite.ClientManager] asks for: the client, or [fosite.ErrNotFound] for one that does not exist,
// is disabled, expired or deleted; only secrets that work now are on the client. The client and its secrets come without
// their LastUsedAt, and the secrets without their Hint: see [Registry.Find].
func (r *Registry) Get(ctx context.Context, id string) (fosite.Client, error) {
	return r.GetWith(ctx, id, clientAlone, nil)
}

// GetWith is [Registry.Get], and reads into targets the columns of join, which takes the values.
func (r *Registry) GetWith(ctx context.Context, id string, join *Join, targets []any, values ...any) (fosite.Client, error) {
	if !model.Storable(id) {
		return nil, fosite.ErrNotFound // asked for by anybody; to PostgreSQL it is an error, which must not look like an outage
	}
	row := authRows.Get().(*authRow)
	defer authRows.Put(row)
	// One statement for a client that does not exist and for one that is asked for the first time: they take the same time.
	query, registration := join.short, r.registrations.get(id)
	row.targets = append(row.targets[:0], row.stateTargets...)
	if registration == nil {
		query, row.targets = join.full, append(row.targets[:0], row.allTargets...)
	}
	row.targets = append(row.targets, targets...)
	secrets, err := r.read(ctx, row, query, append(values, id))
	if err != nil {
		return nil, err
	}
	state, now, first := &row.state, r.now(), registration == nil
	if !state.Live(now) {
		return nil, fosite.ErrNotFound
	}
	if first {
		registration = &row.registration
		registration.Version, registration.UpdatedAt = state.Version.Int64, state.UpdatedAt
	}
	c, err := r.complete(ctx, state, registration)
	if err != nil {
		return nil, err
	}
	if first {
		r.remember(ctx, id, registration)
	}
	if c.Trust != nil { // a rule is nobody who could authenticate
		return nil, fosite.ErrNotFound
	}
	c.Secrets = slices.DeleteFunc(secrets, func(secret client.Secret) bool {
		return !secret.ExpiresAt.IsZero() && !now.Before(secret.ExpiresAt)
	})
	return c.Fosite(), nil
}

// read runs a query whose rows are one client, each with another secret, and returns the secrets, newest first.
func (r *Registry) read(ctx context.Context, row *authRow, query string, args []any) ([]client.Secret, error) {
	rows, err := r.db.Read(ctx).Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	defer rows.Close()
	var secrets []client.Secret
	found := false
	for rows.Next() {
		if err := rows.Scan(row.targets...); err != nil {
			return nil, fmt.Errorf("storage: read a client: %w", err)
		}
		found = true
		if s := &row.secret; s.id != "" {
			secrets = append(secrets, client.Secret{
				ID: string(s.id), Hash: []byte(s.hash), Epoch: s.epoch.Int64, CreatedAt: s.createdAt.Time, ExpiresAt: s.expiresAt.Time,
				EndsOthers: s.endsOthers.Int64 == 1,
			})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	if !found {
		return nil, fosite.ErrNotFound
	}
	// Sorted here because a client has one or two: cheaper than a sorter in the database for every request.
	slices.SortFunc(secrets, func(a, b client.Secret) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return secrets, nil
}
