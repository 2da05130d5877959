package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"fosite-mcp/storage/internal/database"
)

// usage remembers in memory what was used since the last [Store.FlushUsage], so that a token request or an
// introspection costs no write. The zero value is ready.
type usage struct {
	mu   sync.Mutex
	seen [usedKinds]map[string]int64 // key → Unix milliseconds
}

type usedKind int

const (
	usedClients usedKind = iota
	usedSecrets
	usedTokens // by signature hash
	usedAdminKeys
	usedKinds
)

// usageLimit bounds each map. What does not fit is noted the next time it is used.
const usageLimit = 100_000

// usageResolution is how coarse the times of last use are: a newer one is not written before this has passed.
const usageResolution = 5 * time.Minute

func (u *usage) note(kind usedKind, key string, now int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen[kind] == nil {
		u.seen[kind] = make(map[string]int64)
	}
	if _, known := u.seen[kind][key]; known || len(u.seen[kind]) < usageLimit {
		u.seen[kind][key] = now
	}
}

// giveBack notes again what was taken and not written, unless it was used once more in the meantime.
func (u *usage) giveBack(kind usedKind, keys []string, seen map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen[kind] == nil {
		u.seen[kind] = make(map[string]int64)
	}
	for _, key := range keys {
		if _, known := u.seen[kind][key]; !known && len(u.seen[kind]) < usageLimit {
			u.seen[kind][key] = seen[key]
		}
	}
}

func (u *usage) take() (seen [usedKinds]map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen, u.seen = u.seen, [usedKinds]map[string]int64{}
	return seen
}

// TokenUsed notes that the access token of this [TokenID] was used just now. It costs no database access.
func (s *Store) TokenUsed(id string) {
	if hash, err := tokenHash(id); err == nil && len(hash) == sha256.Size {
		s.usage.note(usedTokens, string(hash), millis(s.now()))
	}
}

var usageTables = [usedKinds]struct{ table, key, keyType string }{
	usedClients:   {"clients", "id", "TEXT"},
	usedSecrets:   {"client_secrets", "id", "TEXT"},
	usedTokens:    {"access_tokens", "signature", "BYTEA"},
	usedAdminKeys: {"admin_keys", "id", "TEXT"},
}

// FlushUsage writes the times of last use that were noted since the last call. Call it every minute or so, and before
// the program ends. What cannot be written waits for the next call.
func (s *Store) FlushUsage(ctx context.Context) error {
	var errs []error
	for kind, seen := range s.usage.take() {
		errs = append(errs, s.writeUsage(ctx, usedKind(kind), seen))
	}
	return errors.Join(errs...)
}

// usageBatch keeps each transaction short: on SQLite all other writes wait for it.
const usageBatch = 500

func (s *Store) writeUsage(ctx context.Context, kind usedKind, seen map[string]int64) error {
	// In order, so that two replicas that write the same rows do not lock each other out.
	keys := slices.Sorted(maps.Keys(seen))
	write := s.writeUsageBatch
	if s.db.Postgres() {
		write = s.writeUsageAtOnce
	}
	for len(keys) > 0 {
		batch := keys[:min(len(keys), usageBatch)]
		if err := write(ctx, kind, batch, seen); err != nil {
			s.usage.giveBack(kind, keys, seen)
			return fmt.Errorf("storage: write times of last use: %w", err)
		}
		keys = keys[len(batch):]
	}
	return nil
}

func (s *Store) writeUsageBatch(ctx context.Context, kind usedKind, keys []string, seen map[string]int64) error {
	t := usageTables[kind]
	query := fmt.Sprintf(`UPDATE {%s} SET last_used_at = ? WHERE %s = ? AND (last_used_at IS NULL OR last_used_at <= ?)`, t.table, t.key)
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		for _, key := range keys {
			var id any = key
			if kind == usedTokens {
				id = []byte(key)
			}
			if _, err := tx.Run(query, seen[key], id, seen[key]-usageResolution.Milliseconds()); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeUsageAtOnce spares PostgreSQL a round trip per key: introspection of many tokens is worth one write of each.
func (s *Store) writeUsageAtOnce(ctx context.Context, kind usedKind, keys []string, seen map[string]int64) error {
	t := usageTables[kind]
	var ids any = keys
	if kind == usedTokens {
		hashes := make([][]byte, len(keys))
		for i, key := range keys {
			hashes[i] = []byte(key)
		}
		ids = hashes
	}
	times := make([]int64, len(keys))
	for i, key := range keys {
		times[i] = seen[key]
	}
	_, err := s.db.Run(ctx, fmt.Sprintf(`UPDATE {%[1]s} SET last_used_at = used.at
		FROM unnest(CAST(? AS %[3]s[]), CAST(? AS BIGINT[])) AS used (id, at)
		WHERE {%[1]s}.%[2]s = used.id AND (last_used_at IS NULL OR last_used_at <= used.at - CAST(? AS BIGINT))`, t.table, t.key, t.keyType),
		ids, times, usageResolution.Milliseconds())
	return err
}
