package storage

import (
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// laterExpiry is the later of two, where NULL is never.
const laterExpiry = `CASE
	WHEN excluded.expires_at IS NULL OR {grants}.expires_at IS NULL THEN NULL
	WHEN excluded.expires_at > {grants}.expires_at THEN excluded.expires_at
	ELSE {grants}.expires_at END`

// openGrant makes sure that the parent row of a request exists and outlives r. A grant that was revoked stays
// revoked.
func (s *core) openGrant(tx *database.Tx, r *model.Request) error {
	_, err := tx.Run(`INSERT INTO {grants} (id, client_id, subject, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET expires_at = `+laterExpiry,
		r.RequestID, r.ClientID, string(r.Subject), model.Millis(s.now()), r.ExpiresAt)
	return database.Wrap(err, "store a grant")
}
