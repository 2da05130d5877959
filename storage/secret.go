package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/ory/fosite"
)

func insertSecret(ctx context.Context, q queryer, clientID string, secret *ClientSecret, now time.Time) error {
	if secret.ID == "" {
		secret.ID = newID("cs_")[:15]
	}
	secret.CreatedAt = now
	endsOthers := 0
	if secret.EndsOthers {
		endsOthers = 1
	}
	_, err := q.ExecContext(ctx, `INSERT INTO client_secrets (id, client_id, hash, hint, created_at, expires_at, ends_others)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, secret.ID, clientID, string(secret.Hash), secret.Hint, millis(now), nullMillis(secret.ExpiresAt), endsOthers)
	if err != nil {
		return fmt.Errorf("storage: store a client secret: %w", err)
	}
	return nil
}

// RevokeSecret ends every token that was issued with this secret of the client. The secret itself goes on working.
func (s *Store) RevokeSecret(ctx context.Context, clientID, secretID string) error {
	n, err := s.exec(ctx, `UPDATE client_secrets SET epoch = epoch + 1 WHERE id = ? AND client_id = ?`, secretID, clientID)
	if err != nil {
		return fmt.Errorf("storage: revoke the tokens of a secret: %w", err)
	}
	if n == 0 {
		return fosite.ErrNotFound
	}
	return nil
}
