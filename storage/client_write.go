package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
)

var (
	// ErrExists says that the id is taken, by a client that may have been deleted since: ids are never reused.
	ErrExists = errors.New("storage: a client with this id exists or has existed")
	// ErrStale says that the client was changed since it was read.
	ErrStale = errors.New("storage: the client was changed in the meantime")
)

// newID is a random identifier of lower case letters and digits, which needs no encoding anywhere.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

const insertClient = `INSERT INTO {clients} (id, name, owner, status, scope, audience, introspects, grant_types, response_types,
	redirect_uris, token_endpoint_auth_method, token_endpoint_auth_signing_alg, jwks, jwks_uri, access_token_lifespan, metadata,
	created_at, updated_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`

// CreateClient stores a new client with its secrets. It fills in what is empty: ID (and those of the secrets),
// Status, Version and times. It answers [ErrExists] for an id that is or was in use.
func (s *Store) CreateClient(ctx context.Context, c *Client) error {
	now := s.now().UTC().Truncate(time.Millisecond)
	if c.ID == "" {
		c.ID = newID("mcp_")
	}
	if c.Status == "" {
		c.Status = StatusActive
	}
	c.CreatedAt, c.UpdatedAt, c.Version = now, now, 1
	jwks, err := c.encodedJWKS()
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(insertClient, c.ID, c.Name, c.Owner, c.Status, packList(c.Scope), packList(c.Audience),
			packList(c.Introspects), packList(c.GrantTypes), packList(c.ResponseTypes), packList(c.RedirectURIs),
			c.TokenEndpointAuthMethod, c.TokenEndpointAuthSigningAlg, jwks, c.JWKSURI, int64(c.AccessTokenLifespan/time.Second),
			string(c.Metadata), millis(now), millis(now), nullMillis(c.ExpiresAt))
		if err != nil {
			return fmt.Errorf("storage: store a client: %w", err)
		}
		if n == 0 {
			return ErrExists
		}
		for i := range c.Secrets {
			if err := insertSecret(ctx, tx, c.ID, &c.Secrets[i], now); err != nil {
				return err
			}
		}
		return nil
	})
}

const updateClient = `UPDATE {clients} SET name = ?, owner = ?, status = ?, scope = ?, audience = ?, introspects = ?, grant_types = ?,
	response_types = ?, redirect_uris = ?, token_endpoint_auth_method = ?, token_endpoint_auth_signing_alg = ?, jwks = ?, jwks_uri = ?,
	access_token_lifespan = ?, metadata = ?, expires_at = ?, updated_at = ?, version = version + 1
	WHERE id = ? AND version = ? AND status <> 'deleted'`

// UpdateClient stores what was changed on a client that was read with [Store.FindClient]. It answers [ErrStale]
// when somebody else was faster. Secrets, epoch and times are not touched.
func (s *Store) UpdateClient(ctx context.Context, c *Client) error {
	now := s.now().UTC().Truncate(time.Millisecond)
	jwks, err := c.encodedJWKS()
	if err != nil {
		return err
	}
	n, err := s.db.Run(ctx, updateClient, c.Name, c.Owner, c.Status, packList(c.Scope), packList(c.Audience), packList(c.Introspects),
		packList(c.GrantTypes), packList(c.ResponseTypes), packList(c.RedirectURIs), c.TokenEndpointAuthMethod,
		c.TokenEndpointAuthSigningAlg, jwks, c.JWKSURI, int64(c.AccessTokenLifespan/time.Second), string(c.Metadata),
		nullMillis(c.ExpiresAt), millis(now), c.ID, c.Version)
	if err != nil {
		return fmt.Errorf("storage: change a client: %w", err)
	}
	if n == 0 {
		return ErrStale
	}
	c.Version++
	c.UpdatedAt = now
	return nil
}

func (c *Client) encodedJWKS() (string, error) {
	if c.JWKS == nil {
		return "", nil
	}
	encoded, err := json.Marshal(c.JWKS)
	if err != nil {
		return "", fmt.Errorf("storage: encode the jwks of client %s: %w", c.ID, err)
	}
	return string(encoded), nil
}

// DeleteClient ends a client for good: its tokens are dead at their next check, its secrets and particulars are
// erased, and its id is never given out again. It answers [fosite.ErrNotFound] for one that does not exist.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	now := millis(s.now())
	err := s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(`UPDATE {clients} SET status = 'deleted', name = '', owner = '', redirect_uris = '', jwks = '', jwks_uri = '',
			metadata = '', epoch = epoch + 1, version = version + 1, updated_at = ? WHERE id = ? AND status <> 'deleted'`, now, id)
		if err != nil {
			return fmt.Errorf("storage: delete a client: %w", err)
		}
		if n == 0 {
			return fosite.ErrNotFound
		}
		_, err = tx.Run(`UPDATE {client_secrets} SET hash = '', slow = 0, deleted_at = ? WHERE client_id = ? AND deleted_at IS NULL`, now, id)
		if err != nil {
			return fmt.Errorf("storage: delete the secrets of a client: %w", err)
		}
		return nil
	})
	s.registrations.forget(id)
	return err
}

// SetClientStatus makes a client active or disabled and tells whether it was not so before. version, unless zero, is
// the version the caller has seen: [ErrStale] if it is outdated. [fosite.ErrNotFound] if there is no such client.
func (s *Store) SetClientStatus(ctx context.Context, id string, status Status, version int64) (changed bool, err error) {
	if status != StatusActive && status != StatusDisabled {
		return false, fmt.Errorf("storage: a client cannot be made %q; delete it with DeleteClient", status)
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, err := tx.Run(`UPDATE {clients} SET status = ?, version = version + 1, updated_at = ?
			WHERE id = ? AND status IN ('active', 'disabled') AND status <> ? AND (version = ? OR CAST(? AS BIGINT) = 0)`,
			status, millis(s.now()), id, status, version, version)
		if err != nil || n == 1 {
			changed = n == 1
			return err
		}
		var current int64
		err = tx.QueryRow(`SELECT version FROM {clients} WHERE id = ? AND status IN ('active', 'disabled')`, id).Scan(&current)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fosite.ErrNotFound
		case err == nil && version != 0 && current != version:
			return ErrStale
		}
		changed = false
		return err
	})
	if err != nil && !errors.Is(err, fosite.ErrNotFound) && !errors.Is(err, ErrStale) {
		return false, fmt.Errorf("storage: change the status of a client: %w", err)
	}
	return changed, err
}

// RevokeClient ends every token issued to the client so far, in one small statement however many there are. Tokens
// issued to requests that authenticate from now on are not affected.
func (s *Store) RevokeClient(ctx context.Context, id string) error {
	query, args := `UPDATE {clients} SET epoch = epoch + 1 WHERE id = ? AND status <> 'deleted'`, []any{id}
	if s.clients != nil {
		// A host's client gets a row for its epoch. That is read when a token is stored, so requests that authenticated
		// before are reached by their time.
		query = `INSERT INTO {client_revocations} (id, epoch, revoked_before) VALUES (?, 1, ?)
			ON CONFLICT (id) DO UPDATE SET epoch = {client_revocations}.epoch + 1, ` + laterRevokedBefore
		args = append(args, millis(s.now()))
	}
	n, err := s.db.Run(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("storage: revoke the tokens of a client: %w", err)
	}
	if n == 0 {
		return fosite.ErrNotFound
	}
	return nil
}

const laterRevokedBefore = `revoked_before = CASE WHEN {client_revocations}.revoked_before > excluded.revoked_before
	THEN {client_revocations}.revoked_before ELSE excluded.revoked_before END`

// RevokeClientBefore ends every token that was issued to the client before the time t.
func (s *Store) RevokeClientBefore(ctx context.Context, id string, t time.Time) error {
	before := millis(t.Add(time.Millisecond - 1)) // rounded up: a token is as old as its millisecond
	query := `UPDATE {clients} SET revoked_before = CASE WHEN revoked_before > ? THEN revoked_before ELSE ? END
		WHERE id = ? AND status <> 'deleted'`
	args := []any{before, before, id}
	if s.clients != nil {
		query = `INSERT INTO {client_revocations} (id, revoked_before) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET ` + laterRevokedBefore
		args = []any{id, before}
	}
	n, err := s.db.Run(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("storage: revoke the tokens of a client: %w", err)
	}
	if n == 0 {
		return fosite.ErrNotFound
	}
	return nil
}

// RevokeSubject ends every grant of a person (the subject of tokens from a login), at all clients or at one
// (clientID not empty), and tells how many there were. A client's own tokens are not a person's: see RevokeClient.
func (s *Store) RevokeSubject(ctx context.Context, subject, clientID string) (int64, error) {
	if subject == "" {
		return 0, errors.New("storage: refusing to revoke the grants of an empty subject")
	}
	n, err := s.db.Run(ctx, `UPDATE {grants} SET revoked_at = ? WHERE subject = ? AND revoked_at IS NULL AND (client_id = ? OR CAST(? AS TEXT) = '')`,
		millis(s.now()), subject, clientID, clientID)
	if err != nil {
		return 0, fmt.Errorf("storage: revoke the grants of a subject: %w", err)
	}
	return n, nil
}
