package clients

import (
	"context"
	"fmt"
	"time"

	"fosite-mcp/storage/internal/model"
)

// Ending counts active clients that end.
type Ending struct {
	Clients     int64 // at their own expires_at
	LastSecrets int64 // with the last of their secrets, after which they cannot authenticate
}

// The conditions for an active client c that ends until a time: by itself, and with the last of its secrets. Each takes the times now and
// until, see [endingValues].
const (
	endsItself   = `c.status = 'active' AND c.expires_at > ? AND c.expires_at <= ?`
	endsBySecret = `c.status = 'active' AND (c.expires_at IS NULL OR c.expires_at > ?)
		AND c.id IN (SELECT client_id FROM {client_secrets} WHERE deleted_at IS NULL AND expires_at > ? AND expires_at <= ?)
		AND NOT EXISTS (SELECT 1 FROM {client_secrets} s
			WHERE s.client_id = c.id AND s.deleted_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > ?))`
)

// endingValues are those of endsItself and endsBySecret, in this order.
func (r *Registry) endingValues(d time.Duration) []any {
	now := r.now()
	at, until := model.At(now), model.At(now.Add(d))
	return []any{at, until, at, at, until, until}
}

// CountEnding counts the clients and rules that end within d. It reads all clients and secrets that have an end.
func (r *Registry) CountEnding(ctx context.Context, d time.Duration) (count Ending, err error) {
	err = r.db.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM {clients} c WHERE `+endsItself+`), (SELECT COUNT(*) FROM {clients} c WHERE `+endsBySecret+`)`,
		r.endingValues(d)...).Scan(&count.Clients, &count.LastSecrets)
	if err != nil {
		return Ending{}, fmt.Errorf("storage: count the clients that end: %w", err)
	}
	return count, nil
}

// ListEnding returns the ids of clients and rules that end within d, by themselves or with the last of their secrets: up to limit.
func (r *Registry) ListEnding(ctx context.Context, d time.Duration, limit int) (ids []string, err error) {
	rows, err := r.db.Query(ctx, `SELECT c.id FROM {clients} c WHERE `+endsItself+` OR `+endsBySecret+` ORDER BY c.created_at, c.id LIMIT ?`,
		append(r.endingValues(d), limit)...)
	if err != nil {
		return nil, fmt.Errorf("storage: list the clients that end: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("storage: list the clients that end: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
