package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
)

// ClientAssertionJWTValid implements [fosite.ClientManager]: [fosite.ErrJTIKnown] for an assertion that was used
// and has not expired.
func (s *Store) ClientAssertionJWTValid(ctx context.Context, jti string) error {
	if s.clients != nil {
		return s.clients.ClientAssertionJWTValid(ctx, jti)
	}
	used, err := s.IsJWTUsed(ctx, jti)
	if err != nil {
		return err
	}
	if used {
		return fosite.ErrJTIKnown
	}
	return nil
}

// SetClientAssertionJWT implements [fosite.ClientManager]. It is the check as well as the mark: of any number of
// concurrent calls with one jti exactly one succeeds, the others get [fosite.ErrJTIKnown].
func (s *Store) SetClientAssertionJWT(ctx context.Context, jti string, exp time.Time) error {
	if s.clients != nil {
		return s.clients.SetClientAssertionJWT(ctx, jti, exp)
	}
	return s.MarkJWTUsedForTime(ctx, jti, exp)
}

// IsJWTUsed implements [rfc7523.RFC7523KeyStorage].
func (s *Store) IsJWTUsed(ctx context.Context, jti string) (bool, error) {
	var expiresAt int64
	err := s.db.Read(ctx).QueryRow(`SELECT expires_at FROM {used_assertions} WHERE jti_hash = ?`, hashOf(jti)).Scan(&expiresAt)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("storage: look up an assertion: %w", err)
	}
	return expiresAt > millis(s.now()), nil
}

// MarkJWTUsedForTime implements [rfc7523.RFC7523KeyStorage], like SetClientAssertionJWT. An assertion that has expired
// cannot be remembered, so it counts as used; some of fosite's checks let one pass.
func (s *Store) MarkJWTUsedForTime(ctx context.Context, jti string, exp time.Time) error {
	now := millis(s.now())
	if millis(exp) <= now {
		return fosite.ErrJTIKnown
	}
	n, err := s.db.Run(ctx, `INSERT INTO {used_assertions} (jti_hash, expires_at) VALUES (?, ?)
		ON CONFLICT (jti_hash) DO UPDATE SET expires_at = excluded.expires_at WHERE {used_assertions}.expires_at <= ?`,
		hashOf(jti), millis(exp), now)
	if err != nil {
		return fmt.Errorf("storage: mark an assertion as used: %w", err)
	}
	if n == 0 {
		return fosite.ErrJTIKnown
	}
	return nil
}

// TrustKey registers a public key of an issuer whose assertions may be exchanged for tokens (RFC 7523 §2.1).
// A key with the same issuer, subject and key id is replaced.
func (s *Store) TrustKey(ctx context.Context, issuer, subject string, key *jose.JSONWebKey, scope []string) error {
	if !key.Valid() || !key.IsPublic() {
		return errors.New("storage: a trusted key must be a valid public key")
	}
	encoded, err := json.Marshal(key)
	if err != nil {
		return fmt.Errorf("storage: encode a trusted key: %w", err)
	}
	_, err = s.db.Run(ctx, `INSERT INTO {trusted_keys} (issuer, subject, key_id, jwk, scope) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (issuer, subject, key_id) DO UPDATE SET jwk = excluded.jwk, scope = excluded.scope`,
		issuer, subject, key.KeyID, string(encoded), packList(scope))
	if err != nil {
		return fmt.Errorf("storage: store a trusted key: %w", err)
	}
	return nil
}

type trustedKey struct {
	key   jose.JSONWebKey
	scope []string
}

// trustedKeys reads the keys of issuer for subject that match the condition.
func (s *Store) trustedKeys(ctx context.Context, issuer, subject, condition string, args ...any) ([]trustedKey, error) {
	if !isText(issuer) || !isText(subject) {
		return nil, fosite.ErrNotFound
	}
	rows, err := s.db.Read(ctx).Query(`SELECT jwk, scope FROM {trusted_keys}
		WHERE issuer = ? AND subject = ? AND (expires_at IS NULL OR expires_at > ?)`+condition,
		append([]any{issuer, subject, millis(s.now())}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("storage: read trusted keys: %w", err)
	}
	defer rows.Close()
	var keys []trustedKey
	for rows.Next() {
		var encoded, scope string
		if err := rows.Scan(&encoded, &scope); err != nil {
			return nil, fmt.Errorf("storage: read trusted keys: %w", err)
		}
		var key trustedKey
		if err := json.NewDecoder(strings.NewReader(encoded)).Decode(&key.key); err != nil {
			return nil, fmt.Errorf("storage: decode a trusted key: %w", err)
		}
		key.scope = unpackList(scope)
		keys = append(keys, key)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read trusted keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, fosite.ErrNotFound
	}
	return keys, nil
}

// trustedKey reads one key. An empty keyID is that of a key without an id and no other: keys differ in their scopes.
func (s *Store) trustedKey(ctx context.Context, issuer, subject, keyID string) (*trustedKey, error) {
	if !isText(keyID) {
		return nil, fosite.ErrNotFound
	}
	keys, err := s.trustedKeys(ctx, issuer, subject, ` AND key_id = ?`, keyID)
	if err != nil {
		return nil, err
	}
	return &keys[0], nil
}

// GetPublicKey implements [rfc7523.RFC7523KeyStorage].
func (s *Store) GetPublicKey(ctx context.Context, issuer, subject, keyID string) (*jose.JSONWebKey, error) {
	key, err := s.trustedKey(ctx, issuer, subject, keyID)
	if err != nil {
		return nil, err
	}
	return &key.key, nil
}

// GetPublicKeys implements [rfc7523.RFC7523KeyStorage].
func (s *Store) GetPublicKeys(ctx context.Context, issuer, subject string) (*jose.JSONWebKeySet, error) {
	keys, err := s.trustedKeys(ctx, issuer, subject, ` ORDER BY key_id`)
	if err != nil {
		return nil, err
	}
	set := new(jose.JSONWebKeySet)
	for _, key := range keys {
		set.Keys = append(set.Keys, key.key)
	}
	return set, nil
}

// GetPublicKeyScopes implements [rfc7523.RFC7523KeyStorage].
func (s *Store) GetPublicKeyScopes(ctx context.Context, issuer, subject, keyID string) ([]string, error) {
	key, err := s.trustedKey(ctx, issuer, subject, keyID)
	if err != nil {
		return nil, err
	}
	return key.scope, nil
}
