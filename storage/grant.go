package storage

import (
	"context"
	"fmt"
)

// openGrant makes sure that the parent row of a request exists and outlives r. A grant that was revoked stays
// revoked.
func openGrant(ctx context.Context, q queryer, r *record, now int64) error {
	_, err := q.ExecContext(ctx, `INSERT INTO grants (id, client_id, subject, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET expires_at = CASE -- the later of the two, where NULL is never
			WHEN excluded.expires_at IS NULL OR grants.expires_at IS NULL THEN NULL
			WHEN excluded.expires_at > grants.expires_at THEN excluded.expires_at
			ELSE grants.expires_at END`,
		r.requestID, r.clientID, r.subject.String, now, r.expiresAt)
	if err != nil {
		return fmt.Errorf("storage: store a grant: %w", err)
	}
	return nil
}

// RevokeGrant ends everything that was issued under requestID, refresh tokens that are being issued at this very
// moment included. It is what a revocation should call: RevokeRefreshToken and RevokeAccessToken in one durable
// step. Revoking twice is no error.
func (s *Store) RevokeGrant(ctx context.Context, requestID string) error {
	now := millis(s.now())
	// A machine's token has no grant, and one statement is a quarter of the round trips of a transaction.
	n, err := s.exec(ctx, `UPDATE access_tokens SET revoked_at = ? WHERE request_id = ? AND revoked_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM grants WHERE id = ?)`, now, requestID, requestID)
	if err != nil {
		return fmt.Errorf("storage: revoke access tokens: %w", err)
	}
	if n > 0 {
		return nil
	}
	return s.write(ctx, func(ctx context.Context, q queryer) error {
		n, err := execCount(ctx, q, `UPDATE grants SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`, now, requestID)
		if err != nil {
			return fmt.Errorf("storage: revoke a grant: %w", err)
		}
		if n > 0 {
			return nil // its tokens are read together with it
		}
		return revokeAccessTokens(ctx, q, requestID, now)
	})
}

// RevokeRefreshToken implements [oauth2.TokenRevocationStorage]: it ends the grant, and with it every refresh
// token and access token of requestID.
func (s *Store) RevokeRefreshToken(ctx context.Context, requestID string) error {
	_, err := s.exec(ctx, `UPDATE grants SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`, millis(s.now()), requestID)
	if err != nil {
		return fmt.Errorf("storage: revoke a grant: %w", err)
	}
	return nil
}

// RevokeAccessToken implements [oauth2.TokenRevocationStorage]: it ends the access tokens of requestID and leaves
// refresh tokens alone.
func (s *Store) RevokeAccessToken(ctx context.Context, requestID string) error {
	now := millis(s.now())
	return s.write(ctx, func(ctx context.Context, q queryer) error {
		// Wait for a refresh that is under way: its access token must not slip through.
		if _, err := q.ExecContext(ctx, `UPDATE grants SET created_at = created_at WHERE id = ?`, requestID); err != nil {
			return fmt.Errorf("storage: lock a grant: %w", err)
		}
		return revokeAccessTokens(ctx, q, requestID, now)
	})
}

func revokeAccessTokens(ctx context.Context, q queryer, requestID string, now int64) error {
	_, err := q.ExecContext(ctx, `UPDATE access_tokens SET revoked_at = ? WHERE request_id = ? AND revoked_at IS NULL`, now, requestID)
	if err != nil {
		return fmt.Errorf("storage: revoke access tokens: %w", err)
	}
	return nil
}
