package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ClientAssertionJWTValid implements [fosite.ClientManager]: [fosite.ErrJTIKnown] for an assertion that was used
// and has not expired.
func (s *Assertions) ClientAssertionJWTValid(ctx context.Context, jti string) error {
	if s.external != nil {
		return s.external.ClientAssertionJWTValid(ctx, jti)
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
func (s *Assertions) SetClientAssertionJWT(ctx context.Context, jti string, exp time.Time) error {
	if s.external != nil {
		return s.external.SetClientAssertionJWT(ctx, jti, exp)
	}
	return s.MarkJWTUsedForTime(ctx, jti, exp)
}

// IsJWTUsed implements [rfc7523.RFC7523KeyStorage].
func (s *Assertions) IsJWTUsed(ctx context.Context, jti string) (bool, error) {
	var used []model.UsedAssertion
	err := s.db.Read(ctx).Where("jti_hash = ? AND expires_at > ?", model.Hash(hashOf(jti)), model.At(s.now())).Limit(1).Find(&used).Error
	return len(used) > 0, database.Wrap(err, "look up an assertion")
}

// MarkJWTUsedForTime implements [rfc7523.RFC7523KeyStorage], like SetClientAssertionJWT. An assertion that has expired
// cannot be remembered, so it counts as used; some of fosite's checks let one pass.
func (s *Assertions) MarkJWTUsedForTime(ctx context.Context, jti string, exp time.Time) error {
	now := model.Millis(s.now())
	if model.Millis(exp) <= now {
		return fosite.ErrJTIKnown
	}
	n, err := s.db.Run(ctx, `INSERT INTO {used_assertions} (jti_hash, expires_at) VALUES (?, ?)
		ON CONFLICT (jti_hash) DO UPDATE SET expires_at = excluded.expires_at WHERE {used_assertions}.expires_at <= ?`,
		hashOf(jti), model.Millis(exp), now)
	return database.MustChange(n, err, "mark an assertion as used", fosite.ErrJTIKnown)
}

// TrustKey registers a public key of an issuer whose assertions may be exchanged for tokens (RFC 7523 §2.1).
// A key with the same issuer, subject and key id is replaced.
func (s *Assertions) TrustKey(ctx context.Context, issuer, subject string, key *jose.JSONWebKey, scope []string) error {
	if !key.Valid() || !key.IsPublic() {
		return errors.New("storage: a trusted key must be a valid public key")
	}
	encoded, err := json.Marshal(key)
	if err != nil {
		return database.Wrap(err, "encode a trusted key")
	}
	trusted := &model.TrustedKey{Issuer: issuer, Subject: subject, KeyID: key.KeyID, JWK: encoded, Scope: scope}
	replace := clause.OnConflict{
		Columns:   []clause.Column{{Name: "issuer"}, {Name: "subject"}, {Name: "key_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"jwk", "scope"}),
	}
	_, err = s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB { return tx.Clauses(replace).Create(trusted) })
	return database.Wrap(err, "store a trusted key")
}

// trustedKeys reads the keys of issuer for subject, of which narrow may choose some.
func (s *Assertions) trustedKeys(ctx context.Context, issuer, subject string, narrow ...any) (keys []model.TrustedKey, err error) {
	if !model.Storable(issuer) || !model.Storable(subject) {
		return nil, fosite.ErrNotFound
	}
	err = s.db.Read(ctx).Where("issuer = ? AND subject = ? AND (expires_at IS NULL OR expires_at > ?)", issuer, subject, model.At(s.now())).
		Order("key_id").Find(&keys, narrow...).Error
	return keys, database.MustChange(int64(len(keys)), err, "read trusted keys", fosite.ErrNotFound)
}

// trustedKey reads one key. An empty keyID is that of a key without an id and no other: keys differ in their scopes.
func (s *Assertions) trustedKey(ctx context.Context, issuer, subject, keyID string) (*model.TrustedKey, error) {
	if !model.Storable(keyID) {
		return nil, fosite.ErrNotFound
	}
	keys, err := s.trustedKeys(ctx, issuer, subject, "key_id = ?", keyID)
	if err != nil {
		return nil, err
	}
	return &keys[0], nil
}

func publicKey(trusted *model.TrustedKey) (key jose.JSONWebKey, err error) {
	if err := json.Unmarshal(trusted.JWK, &key); err != nil {
		return key, fmt.Errorf("storage: decode a trusted key: %v", err) // %v: a corrupt row is an outage, not a malformed assertion
	}
	return key, nil
}

// GetPublicKey implements [rfc7523.RFC7523KeyStorage].
func (s *Assertions) GetPublicKey(ctx context.Context, issuer, subject, keyID string) (*jose.JSONWebKey, error) {
	trusted, err := s.trustedKey(ctx, issuer, subject, keyID)
	if err != nil {
		return nil, err
	}
	key, err := publicKey(trusted)
	if err != nil {
		return nil, err
	}
	return &key, nil
}

// GetPublicKeys implements [rfc7523.RFC7523KeyStorage].
func (s *Assertions) GetPublicKeys(ctx context.Context, issuer, subject string) (*jose.JSONWebKeySet, error) {
	keys, err := s.trustedKeys(ctx, issuer, subject)
	if err != nil {
		return nil, err
	}
	set := new(jose.JSONWebKeySet)
	for _, trusted := range keys {
		key, err := publicKey(&trusted)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, key)
	}
	return set, nil
}

// GetPublicKeyScopes implements [rfc7523.RFC7523KeyStorage].
func (s *Assertions) GetPublicKeyScopes(ctx context.Context, issuer, subject, keyID string) ([]string, error) {
	key, err := s.trustedKey(ctx, issuer, subject, keyID)
	if err != nil {
		return nil, err
	}
	return key.Scope, nil
}
