package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
)

const clientColumns = clientStateColumns + `, ` + registrationColumns + `, last_used_at`

// clientRow is a row of clients.
type clientRow struct {
	clientState
	registration
	lastUsedAt sql.NullInt64
}

func (r *clientRow) targets() []any {
	return slices.Concat(r.clientState.targets(), r.registration.targets(), []any{&r.lastUsedAt})
}

func (r *clientRow) client() (*Client, error) {
	client, err := newClient(&r.clientState, &r.registration)
	if err == nil {
		client.LastUsedAt = fromNullMillis(r.lastUsedAt)
	}
	return client, err
}

const clientStateColumns = `id, status, epoch, revoked_before, version, updated_at, expires_at`

// clientState is the part of a row of clients that decides whether the client may act and which tokens of it count;
// every column may be NULL because of outer joins.
type clientState struct {
	id, status                                          sql.NullString
	epoch, revokedBefore, version, updatedAt, expiresAt sql.NullInt64
}

func (s *clientState) targets() []any {
	return []any{&s.id, &s.status, &s.epoch, &s.revokedBefore, &s.version, &s.updatedAt, &s.expiresAt}
}

// live tells whether the client may act and its tokens count at the time now.
func (s *clientState) live(now time.Time) bool {
	return Status(s.status.String) == StatusActive && (!s.expiresAt.Valid || now.Before(fromMillis(s.expiresAt.Int64)))
}

const registrationColumns = `name, owner, scope, audience, introspects, grant_types, response_types, redirect_uris,
	token_endpoint_auth_method, token_endpoint_auth_signing_alg, jwks, jwks_uri, access_token_lifespan, metadata, created_at`

// registration is what a client was registered with. It changes together with the version in clientState, and only then.
type registration struct {
	name, owner, scope, audience, introspects           string
	grantTypes, responseTypes, redirectURIs             string
	authMethod, authSigningAlg, jwks, jwksURI, metadata string
	lifespan, createdAt                                 int64
}

func (r *registration) targets() []any {
	return []any{&r.name, &r.owner, &r.scope, &r.audience, &r.introspects, &r.grantTypes, &r.responseTypes, &r.redirectURIs,
		&r.authMethod, &r.authSigningAlg, &r.jwks, &r.jwksURI, &r.lifespan, &r.metadata, &r.createdAt}
}

// newClient puts a client together. It shares nothing with another one.
func newClient(s *clientState, r *registration) (*Client, error) {
	c := &Client{
		ID: s.id.String, Status: Status(s.status.String), Epoch: s.epoch.Int64, Version: s.version.Int64,
		UpdatedAt: fromNullMillis(s.updatedAt), ExpiresAt: fromNullMillis(s.expiresAt),
		Name: r.name, Owner: r.owner, Scope: unpackList(r.scope), Audience: unpackList(r.audience),
		Introspects: unpackList(r.introspects), GrantTypes: unpackList(r.grantTypes),
		ResponseTypes: unpackList(r.responseTypes), RedirectURIs: unpackList(r.redirectURIs),
		TokenEndpointAuthMethod: r.authMethod, TokenEndpointAuthSigningAlg: r.authSigningAlg, JWKSURI: r.jwksURI,
		AccessTokenLifespan: time.Duration(r.lifespan) * time.Second, CreatedAt: fromMillis(r.createdAt),
	}
	if s.revokedBefore.Int64 > 0 {
		c.RevokedBefore = fromMillis(s.revokedBefore.Int64)
	}
	if r.metadata != "" {
		c.Metadata = json.RawMessage(r.metadata)
	}
	if r.jwks != "" {
		c.JWKS = new(jose.JSONWebKeySet)
		if err := json.Unmarshal([]byte(r.jwks), c.JWKS); err != nil {
			return nil, fmt.Errorf("storage: decode the jwks of client %s: %v", c.ID, err) // %v: a corrupt row is an outage, not a malformed token
		}
	}
	return c, nil
}

// GetClient implements [fosite.ClientManager]. It answers [fosite.ErrNotFound] for a client that does not exist,
// is disabled, expired or deleted; only secrets that work now are on the client. The client and its secrets come without
// their LastUsedAt, and the secrets without their Hint: see [Store.FindClient].
func (s *Store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if s.clients != nil {
		return s.clients.GetClient(ctx, id)
	}
	if !isText(id) {
		return nil, fosite.ErrNotFound // asked for by anybody; to PostgreSQL it is an error, which must not look like an outage
	}
	row := hotRows.Get().(*hotRow)
	defer hotRows.Put(row)
	ahead, start := readAheadOf(ctx), time.Now()
	// One statement for a client that does not exist and for one that is asked for the first time: they take the same time.
	query := clientQuery{token: ahead != nil, registration: !s.registrations.known(id)}
	args := []any{id}
	if ahead != nil {
		args = []any{ahead.hash, id}
	}
	secrets, err := s.readClient(ctx, &row.secret, row.targetsOf(query), selectClient[query], args...)
	if err != nil {
		return nil, err
	}
	if ahead != nil {
		ahead.keep(s, row.token, start)
	}
	now := s.now()
	if !row.client.live(now) {
		return nil, fosite.ErrNotFound
	}
	var client *Client
	if query.registration {
		client, err = s.remember(ctx, &row.client, row.client, row.registration)
	} else {
		client, err = s.client(ctx, &row.client)
	}
	if err != nil {
		return nil, err
	}
	client.Secrets = slices.DeleteFunc(secrets, func(secret ClientSecret) bool {
		return !secret.ExpiresAt.IsZero() && !now.Before(secret.ExpiresAt)
	})
	return client.fositeClient(), nil
}

const secretsOfClient = ` LEFT JOIN {client_secrets} s ON s.client_id = c.id AND s.deleted_at IS NULL`

var selectClientAndSecrets = `SELECT ` + qualified("c", clientColumns) + `, ` + qualified("s", secretColumns) + `
	FROM {clients} c` + secretsOfClient + ` WHERE c.id = CAST(? AS TEXT)`

// FindClient reads a registered client whatever its status, with all its secrets that were not deleted, newest
// first. It answers [fosite.ErrNotFound] for one that was never registered or has been deleted.
func (s *Store) FindClient(ctx context.Context, id string) (*Client, error) {
	if !isText(id) {
		return nil, fosite.ErrNotFound
	}
	var row clientRow
	var secret secretRow
	secrets, err := s.readClient(ctx, &secret, append(row.targets(), secret.targets()...), selectClientAndSecrets, id)
	if err != nil {
		return nil, err
	}
	client, err := row.client()
	if err != nil {
		return nil, err
	}
	if client.Status == StatusDeleted {
		return nil, fosite.ErrNotFound
	}
	client.Secrets = secrets
	return client, nil
}

// readClient runs a query whose rows are one client, each with another secret, and returns the secrets, newest first.
// targets lead to the client, secret and whatever else the query selects.
func (s *Store) readClient(ctx context.Context, secret *secretRow, targets []any, query string, args ...any) ([]ClientSecret, error) {
	rows, err := s.db.Read(ctx).Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	defer rows.Close()
	var secrets []ClientSecret
	found := false
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, fmt.Errorf("storage: read a client: %w", err)
		}
		found = true
		if secret.id.Valid {
			secrets = append(secrets, secret.secret())
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	if !found {
		return nil, fosite.ErrNotFound
	}
	// Sorted here because a client has one or two: cheaper than a sorter in the database for every request.
	slices.SortFunc(secrets, func(a, b ClientSecret) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return secrets, nil
}

const (
	secretColumns        = workingSecretColumns + `, hint, last_used_at`
	workingSecretColumns = `id, hash, epoch, created_at, expires_at, ends_others`
)

// secretRow is a row of client_secrets, as seen through an outer join.
type secretRow struct {
	id, hash                                sql.NullString
	epoch, createdAt, expiresAt, endsOthers sql.NullInt64
	hint                                    sql.NullString
	lastUsedAt                              sql.NullInt64
}

func (r *secretRow) targets() []any { return append(r.workingTargets(), &r.hint, &r.lastUsedAt) }

func (r *secretRow) workingTargets() []any {
	return []any{&r.id, &r.hash, &r.epoch, &r.createdAt, &r.expiresAt, &r.endsOthers}
}

func (r *secretRow) secret() ClientSecret {
	return ClientSecret{
		ID: r.id.String, Hash: []byte(r.hash.String), Hint: r.hint.String, Epoch: r.epoch.Int64,
		CreatedAt: fromNullMillis(r.createdAt), ExpiresAt: fromNullMillis(r.expiresAt),
		LastUsedAt: fromNullMillis(r.lastUsedAt), EndsOthers: r.endsOthers.Int64 == 1,
	}
}
