package clients

import (
	"context"
	"fmt"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/model"
)

// Ending counts active clients that end.
type Ending struct {
	Clients     int64 // at their own expires_at
	LastSecrets int64 // with the last of their secrets, after which they cannot authenticate
}

// CountEnding counts the clients and rules that end within d. It reads all clients and secrets that have an end.
func (r *Registry) CountEnding(ctx context.Context, d time.Duration) (count Ending, err error) {
	now := r.now()
	at, until := model.At(now), model.At(now.Add(d))
	err = r.db.Read(ctx).QueryRow(`SELECT
		(SELECT COUNT(*) FROM {clients} WHERE status = ? AND expires_at > ? AND expires_at <= ?),
		(SELECT COUNT(*) FROM {clients} c
			WHERE c.status = ? AND (c.expires_at IS NULL OR c.expires_at > ?)
			AND c.id IN (SELECT client_id FROM {client_secrets} WHERE deleted_at IS NULL AND expires_at > ? AND expires_at <= ?)
			AND NOT EXISTS (SELECT 1 FROM {client_secrets} s
				WHERE s.client_id = c.id AND s.deleted_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > ?)))`,
		client.Active, at, until, client.Active, at, at, until, until).Scan(&count.Clients, &count.LastSecrets)
	if err != nil {
		return Ending{}, fmt.Errorf("storage: count the clients that end: %w", err)
	}
	return count, nil
}
