package storage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// writeCheck tries now and then whether the database takes writes again.
type writeCheck struct {
	mu    sync.Mutex // held by whoever tries
	tried time.Time
}

// retryWrites is how often Ping tries whether the database takes writes again.
const retryWrites = time.Second

// CheckWrites writes a few bytes that nobody reads. After a failed write it writes more, because there may be room for the end
// of a page and for nothing else. Call it every quarter of a minute, so that Ping knows even while nobody writes.
func (s *Housekeeping) CheckWrites(ctx context.Context) error {
	size := 1
	if s.db.WriteFailure() != nil {
		size = 32 << 10
	}
	random := make([]byte, size) // PostgreSQL would compress anything else
	_, _ = rand.Read(random)
	now := model.Millis(s.now()) // expired at once: it is cleaned up
	_, err := s.db.Run(ctx, `INSERT INTO {authorize_sessions} (kind, signature, request_id, client_id, epoch, scope, audience, details, issued_at, expires_at)
		VALUES ('write_check', ?, '', '', 0, '', '', ?, ?, ?)
		ON CONFLICT (kind, signature) DO UPDATE SET details = excluded.details, issued_at = excluded.issued_at, expires_at = excluded.expires_at`,
		hashOf("write check"), hex.EncodeToString(random), now, now)
	if err == nil {
		s.db.WritesAgain()
	}
	return database.Wrap(err, "the database takes no writes")
}

// writable tells what is known of writes, and tries again now and then while they fail.
func (s *Housekeeping) writable(ctx context.Context) error {
	failure := s.db.WriteFailure()
	if failure == nil {
		return nil
	}
	if s.writeCheck.mu.TryLock() {
		defer s.writeCheck.mu.Unlock()
		if now := s.now(); now.Sub(s.writeCheck.tried) >= retryWrites || now.Before(s.writeCheck.tried) {
			s.writeCheck.tried = now
			return s.CheckWrites(ctx)
		}
	}
	return database.Wrap(failure, "the database takes no writes")
}
