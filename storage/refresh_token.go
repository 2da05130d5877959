package storage

import (
	"context"
	"errors"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

var insertRefreshToken = insertRequest(`{refresh_tokens}`, `signature, access_signature, predecessor`,
	`?, ?, (SELECT last_rotated FROM {grants} WHERE id = ?)`)

// CreateRefreshTokenSession implements [oauth2.RefreshTokenStorage]. accessSignature names the access token issued
// beside it, which ends when this token is rotated.
func (s *Tokens) CreateRefreshTokenSession(ctx context.Context, signature, accessSignature string, request fosite.Requester) error {
	if signature == "" {
		return errNoSignature
	}
	r, err := s.newRequest(request, fosite.RefreshToken)
	if err != nil {
		return err
	}
	var access model.Hash
	if accessSignature != "" {
		access = accessTokenKey(accessSignature)
	}
	query, args := insertRefreshToken.of(s.core, r, signatureHash(signature), access, r.RequestID)
	return s.db.Write(ctx, func(_ context.Context, tx *database.Tx) error {
		if err := s.openGrant(tx, r); err != nil {
			return err
		}
		_, err := tx.Run(query, args...)
		return database.Wrap(err, "store a refresh token")
	})
}

// GetRefreshTokenSession implements [oauth2.RefreshTokenStorage]. A token that was revoked, or rotated and whose grace
// is over, comes back together with [fosite.ErrInactiveToken], so that reuse can be punished.
func (s *Tokens) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if signature == "" {
		return nil, fosite.ErrNotFound
	}
	var use rotation
	queries, _ := s.queries()
	token, err := s.restore(ctx, session, use.targets(), "read a refresh token", queries.refreshToken, signatureHash(signature))
	if err != nil {
		return nil, orNotFound(err)
	}
	setExpiry(token.Session, fosite.RefreshToken, token.expiresAt)
	if !token.valid {
		return token.Request, fosite.ErrInactiveToken
	}
	if err = s.verdict(&use); errors.Is(err, fosite.ErrNotFound) {
		return nil, err
	}
	return token.Request, err
}

// DeleteRefreshTokenSession implements [oauth2.RefreshTokenStorage]. The row stays, revoked, until it expires:
// without it a second use would not be noticed. Deleting one that does not exist is no error.
func (s *Tokens) DeleteRefreshTokenSession(ctx context.Context, signature string) error {
	hash, now := signatureHash(signature), model.Millis(s.now())
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// The grant first, as a rotation does: fosite goes on to revoke the grant in the same transaction, and two
		// that lock the same rows in opposite order end in a deadlock.
		_, err := tx.Run(`UPDATE {grants} SET created_at = created_at
			WHERE id = (SELECT request_id FROM {refresh_tokens} WHERE signature = ?)`, hash)
		if err != nil {
			return database.Wrap(err, "lock a grant")
		}
		_, err = tx.Run(`UPDATE {refresh_tokens} SET revoked_at = ? WHERE signature = ? AND revoked_at IS NULL`, now, hash)
		return database.Wrap(err, "revoke a refresh token")
	})
}

// RotateRefreshToken implements [oauth2.RefreshTokenStorage]: the token with this signature is used up, and the
// access token issued beside it ends. Call it in a transaction, with the new tokens stored after it. It answers
// [fosite.ErrInactiveToken] when somebody else was faster and the grace is over, or the grant was revoked, and
// [fosite.ErrNotFound] when the grace has no answers left.
func (s *Tokens) RotateRefreshToken(ctx context.Context, requestID, signature string) error {
	hash := signatureHash(signature)
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// The grant's row is the lock that a revocation of the whole grant and a refresh both take.
		alive, err := tx.Run(`UPDATE {grants} SET last_rotated = ? WHERE id = ? AND revoked_at IS NULL`, hash, requestID)
		if err != nil {
			return database.Wrap(err, "lock a grant")
		}
		if alive == 0 {
			return fosite.ErrInactiveToken
		}
		now := model.Millis(s.now()) // after the wait for the lock
		first, err := tx.Run(`UPDATE {refresh_tokens} SET rotated_at = ?
			WHERE signature = ? AND rotated_at IS NULL AND revoked_at IS NULL`, now, hash)
		if err != nil {
			return database.Wrap(err, "rotate a refresh token")
		}
		if first == 0 {
			return s.rotateAgain(ctx, tx, hash)
		}
		_, err = tx.Run(`UPDATE {access_tokens} SET revoked_at = ? WHERE revoked_at IS NULL
			AND signature = (SELECT access_signature FROM {refresh_tokens} WHERE signature = ?)`, now, hash)
		return database.Wrap(err, "end the access token of a rotated refresh token")
	})
}
