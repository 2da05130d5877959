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

const clientColumns = clientStateColumns + `, name, owner, scope, audience, introspects, grant_types, response_types,
	redirect_uris, token_endpoint_auth_method, token_endpoint_auth_signing_alg, jwks, jwks_uri, access_token_lifespan,
	metadata, created_at, last_used_at`

// clientRow is a row of clients.
type clientRow struct {
	clientState
	name, owner, scope, audience, introspects           sql.NullString
	grantTypes, responseTypes, redirectURIs             sql.NullString
	authMethod, authSigningAlg, jwks, jwksURI, metadata sql.NullString
	lifespan, createdAt, lastUsedAt                     sql.NullInt64
}

func (r *clientRow) targets() []any {
	return append(r.clientState.targets(), &r.name, &r.owner, &r.scope, &r.audience, &r.introspects, &r.grantTypes,
		&r.responseTypes, &r.redirectURIs, &r.authMethod, &r.authSigningAlg, &r.jwks, &r.jwksURI, &r.lifespan,
		&r.metadata, &r.createdAt, &r.lastUsedAt)
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

// client takes a row apart. Nothing in a Client is shared with the row or with another Client.
func (r *clientRow) client() (*Client, error) {
	c := &Client{
		ID: r.id.String, Name: r.name.String, Owner: r.owner.String, Status: Status(r.status.String),
		Scope: unpackList(r.scope.String), Audience: unpackList(r.audience.String),
		Introspects: unpackList(r.introspects.String), GrantTypes: unpackList(r.grantTypes.String),
		ResponseTypes: unpackList(r.responseTypes.String), RedirectURIs: unpackList(r.redirectURIs.String),
		TokenEndpointAuthMethod: r.authMethod.String, TokenEndpointAuthSigningAlg: r.authSigningAlg.String,
		JWKSURI: r.jwksURI.String, AccessTokenLifespan: time.Duration(r.lifespan.Int64) * time.Second,
		Epoch: r.epoch.Int64, Version: r.version.Int64,
		CreatedAt: fromNullMillis(r.createdAt), UpdatedAt: fromNullMillis(r.updatedAt),
		ExpiresAt: fromNullMillis(r.expiresAt), LastUsedAt: fromNullMillis(r.lastUsedAt),
	}
	if r.revokedBefore.Int64 > 0 {
		c.RevokedBefore = fromMillis(r.revokedBefore.Int64)
	}
	if r.metadata.String != "" {
		c.Metadata = json.RawMessage(r.metadata.String)
	}
	if r.jwks.String != "" {
		c.JWKS = new(jose.JSONWebKeySet)
		if err := json.Unmarshal([]byte(r.jwks.String), c.JWKS); err != nil {
			return nil, fmt.Errorf("storage: decode the jwks of client %s: %v", c.ID, err) // %v: a corrupt row is an outage, not a malformed token
		}
	}
	return c, nil
}

// GetClient implements [fosite.ClientManager]. It answers [fosite.ErrNotFound] for a client that does not exist,
// is disabled, expired or deleted; only secrets that work now are on the client, without their Hint and LastUsedAt.
func (s *Store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if s.clients != nil {
		return s.clients.GetClient(ctx, id)
	}
	if !isText(id) {
		return nil, fosite.ErrNotFound // asked for by anybody; to PostgreSQL it is an error, which must not look like an outage
	}
	row := hotRows.Get().(*hotRow)
	defer hotRows.Put(row)
	query, args, targets := selectClientState, []any{id}, row.clientTargets
	ahead, start := readAheadOf(ctx), time.Now()
	if ahead != nil {
		query, args, targets = selectClientAndToken, []any{ahead.hash, id}, row.targets
	}
	secrets, err := s.readClient(ctx, &row.secret, targets, query, args...)
	if err != nil {
		return nil, err
	}
	if ahead != nil {
		ahead.keep(row.token, start)
	}
	client, err := s.client(ctx, &row.client)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if !client.live(now) {
		return nil, fosite.ErrNotFound
	}
	client.Secrets = slices.DeleteFunc(secrets, func(secret ClientSecret) bool {
		return !secret.ExpiresAt.IsZero() && !now.Before(secret.ExpiresAt)
	})
	return client.fositeClient(), nil
}

const secretsOfClient = ` LEFT JOIN client_secrets s ON s.client_id = c.id AND s.deleted_at IS NULL`

var selectClientState = `SELECT ` + qualified("c", clientStateColumns) + `, ` + qualified("s", workingSecretColumns) + `
	FROM clients c` + secretsOfClient + ` WHERE c.id = CAST(? AS TEXT)`

var selectClientAndSecrets = `SELECT ` + qualified("c", clientColumns) + `, ` + qualified("s", secretColumns) + `
	FROM clients c` + secretsOfClient + ` WHERE c.id = CAST(? AS TEXT)`

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
	rows, err := s.read(ctx).QueryContext(ctx, query, args...)
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
