package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
)

const clientColumns = `c.id, c.name, c.owner, c.status, c.scope, c.audience, c.introspects, c.grant_types,
	c.response_types, c.redirect_uris, c.token_endpoint_auth_method, c.token_endpoint_auth_signing_alg, c.jwks,
	c.jwks_uri, c.access_token_lifespan, c.metadata, c.epoch, c.revoked_before, c.version, c.created_at,
	c.updated_at, c.expires_at, c.last_used_at`

// clientRow is a row of clients; every column may be NULL because of outer joins.
type clientRow struct {
	id, name, owner, status, scope, audience, introspects sql.NullString
	grantTypes, responseTypes, redirectURIs               sql.NullString
	authMethod, authSigningAlg, jwks, jwksURI, metadata   sql.NullString
	lifespan, epoch, revokedBefore, version               sql.NullInt64
	createdAt, updatedAt, expiresAt, lastUsedAt           sql.NullInt64
}

func (r *clientRow) targets() []any {
	return []any{&r.id, &r.name, &r.owner, &r.status, &r.scope, &r.audience, &r.introspects, &r.grantTypes,
		&r.responseTypes, &r.redirectURIs, &r.authMethod, &r.authSigningAlg, &r.jwks,
		&r.jwksURI, &r.lifespan, &r.metadata, &r.epoch, &r.revokedBefore, &r.version, &r.createdAt,
		&r.updatedAt, &r.expiresAt, &r.lastUsedAt}
}

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

const selectClient = `SELECT ` + clientColumns + `, s.id, s.hash, s.hint, s.epoch, s.created_at, s.expires_at, s.last_used_at, s.ends_others
	FROM clients c LEFT JOIN client_secrets s ON s.client_id = c.id AND s.deleted_at IS NULL
	WHERE c.id = CAST(? AS TEXT)`

// clientWithSecretRow is what selectClient reads. Rows are used again, because every request reads one; scanning
// overwrites all of it.
type clientWithSecretRow struct {
	client  clientRow
	secret  secretRow
	targets []any
}

var clientWithSecretRows = sync.Pool{New: func() any {
	row := new(clientWithSecretRow)
	row.targets = append(row.client.targets(), row.secret.targets()...)
	return row
}}

// GetClient implements [fosite.ClientManager]. It answers [fosite.ErrNotFound] for a client that does not exist,
// is disabled, expired or deleted; only secrets that work now are on the client.
func (s *Store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if s.clients != nil {
		return s.clients.GetClient(ctx, id)
	}
	client, err := s.findClient(ctx, id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if !client.live(now) {
		return nil, fosite.ErrNotFound
	}
	working := client.Secrets[:0]
	for _, secret := range client.Secrets {
		if secret.ExpiresAt.IsZero() || now.Before(secret.ExpiresAt) {
			working = append(working, secret)
		}
	}
	client.Secrets = working
	return client.fositeClient(), nil
}

// FindClient reads a registered client whatever its status, with all its secrets that were not deleted, newest
// first. It answers [fosite.ErrNotFound] for one that was never registered or has been deleted.
func (s *Store) FindClient(ctx context.Context, id string) (*Client, error) {
	client, err := s.findClient(ctx, id)
	if err == nil && client.Status == StatusDeleted {
		return nil, fosite.ErrNotFound
	}
	return client, err
}

func (s *Store) findClient(ctx context.Context, id string) (*Client, error) {
	if !isText(id) {
		return nil, fosite.ErrNotFound // asked for by anybody; to PostgreSQL it is an error, which must not look like an outage
	}
	rows, err := s.read(ctx).QueryContext(ctx, selectClient, id)
	if err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	defer rows.Close()
	row := clientWithSecretRows.Get().(*clientWithSecretRow)
	defer clientWithSecretRows.Put(row)
	var client *Client
	for rows.Next() {
		if err := rows.Scan(row.targets...); err != nil {
			return nil, fmt.Errorf("storage: read a client: %w", err)
		}
		if client == nil {
			if client, err = row.client.client(); err != nil {
				return nil, err
			}
		}
		if row.secret.id.Valid {
			client.Secrets = append(client.Secrets, row.secret.secret())
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read a client: %w", err)
	}
	if client == nil {
		return nil, fosite.ErrNotFound
	}
	// Sorted here because a client has one or two: cheaper than a sorter in the database for every request.
	slices.SortFunc(client.Secrets, func(a, b ClientSecret) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return client, nil
}

// secretRow is a row of client_secrets, as seen through an outer join.
type secretRow struct {
	id, hash, hint                          sql.NullString
	epoch, createdAt, expiresAt, lastUsedAt sql.NullInt64
	endsOthers                              sql.NullInt64
}

func (r *secretRow) targets() []any {
	return []any{&r.id, &r.hash, &r.hint, &r.epoch, &r.createdAt, &r.expiresAt, &r.lastUsedAt, &r.endsOthers}
}

func (r *secretRow) secret() ClientSecret {
	return ClientSecret{
		ID: r.id.String, Hash: []byte(r.hash.String), Hint: r.hint.String, Epoch: r.epoch.Int64,
		CreatedAt: fromNullMillis(r.createdAt), ExpiresAt: fromNullMillis(r.expiresAt),
		LastUsedAt: fromNullMillis(r.lastUsedAt), EndsOthers: r.endsOthers.Int64 == 1,
	}
}
