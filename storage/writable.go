package storage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// writeHealth remembers whether the database takes writes, so that [Store.Ping] knows without one.
type writeHealth struct {
	failure atomic.Pointer[error] // nil: as far as we know it does
	mu      sync.Mutex            // held by whoever tries again
	tried   time.Time
}

// retryWrites is how often Ping tries whether the database takes writes again.
const retryWrites = time.Second

// note takes note of how a write ended. Only [Store.CheckWrites] tells that all is well again: a write that changed
// nothing succeeds on a full disk, too.
func (h *writeHealth) note(err error) {
	if err != nil && isUnwritable(err) {
		h.failure.Store(&err)
	}
}

// isUnwritable tells failures that all writes share, for want of disk space above all, from those of one statement. The
// two drivers for SQLite have different types for its errors, and the same words.
func isUnwritable(err error) bool {
	if state := sqlState(err); state != "" {
		return state == "53100" || state == "58030" || state == readOnlyTransaction // disk_full, io_error
	}
	for _, words := range []string{
		"database or disk is full", "disk I/O error", "attempt to write a readonly database", "unable to open database file",
	} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// CheckWrites writes a few bytes that nobody reads, or more after a write has failed: there may be room for the end of a
// page and for nothing else. Call it every quarter of a minute, so that Ping knows even while nobody writes.
func (s *Store) CheckWrites(ctx context.Context) error {
	size := 1
	if s.health.failure.Load() != nil {
		size = 32 << 10
	}
	random := make([]byte, size) // PostgreSQL would compress anything else
	_, _ = rand.Read(random)
	_, err := s.exec(ctx, `INSERT INTO settings (name, value) VALUES ('write_check', ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, hex.EncodeToString(random))
	if err != nil {
		return fmt.Errorf("storage: the database takes no writes: %w", err)
	}
	s.health.failure.Store(nil)
	return nil
}

// writable tells what is known of writes, and tries again now and then while they fail.
func (s *Store) writable(ctx context.Context) error {
	failure := s.health.failure.Load()
	if failure == nil {
		return nil
	}
	if s.health.mu.TryLock() {
		defer s.health.mu.Unlock()
		if now := s.now(); now.Sub(s.health.tried) >= retryWrites || now.Before(s.health.tried) {
			s.health.tried = now
			return s.CheckWrites(ctx)
		}
	}
	return fmt.Errorf("storage: the database takes no writes: %w", *failure)
}
