// Package usage remembers in memory what was used, so that a token request or an introspection costs no write.
package usage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Times are the times of last use of the rows of one table that were noted since the last [Times.Write].
type Times struct {
	db                  *database.DB
	table, key, keyType string

	mu   sync.Mutex
	seen map[string]int64 // key → Unix milliseconds
}

// OfIDs is for a table with a column id. table has its name of ours, as in [database.DB.SQL].
func OfIDs(db *database.DB, table string) *Times {
	return &Times{db: db, table: table, key: "id", keyType: "TEXT"}
}

// OfSignatures is for a table with a column signature, which holds bytes.
func OfSignatures(db *database.DB, table string) *Times {
	return &Times{db: db, table: table, key: "signature", keyType: "BYTEA"}
}

// limit bounds what is remembered. What does not fit is noted the next time it is used.
const limit = 100_000

// Resolution is how coarse the times of last use are: a newer one is not written before this has passed.
const Resolution = 5 * time.Minute

// Note says that the row was used. It costs no database access.
func (t *Times) Note(key string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = make(map[string]int64)
	}
	if _, known := t.seen[key]; known || len(t.seen) < limit {
		t.seen[key] = model.Millis(at)
	}
}

// Pending is how many times wait to be written.
func (t *Times) Pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.seen)
}

func (t *Times) take() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.seen
	t.seen = nil
	return seen
}

// giveBack notes again what was taken and not written, unless it was used once more in the meantime.
func (t *Times) giveBack(keys []string, seen map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = make(map[string]int64)
	}
	for _, key := range keys {
		if _, known := t.seen[key]; !known && len(t.seen) < limit {
			t.seen[key] = seen[key]
		}
	}
}

// batch keeps each transaction short: on SQLite all other writes wait for it.
const batch = 500

// Write writes what was noted. What cannot be written waits for the next call.
func (t *Times) Write(ctx context.Context) error {
	seen := t.take()
	write := t.writeEach
	if t.db.Postgres {
		write = t.writeTogether
	}
	// In order, so that two replicas that write the same rows do not lock each other out.
	for keys := slices.Sorted(maps.Keys(seen)); len(keys) > 0; {
		some := keys[:min(len(keys), batch)]
		if err := write(ctx, some, seen); err != nil {
			t.giveBack(keys, seen)
			return fmt.Errorf("storage: write times of last use: %w", err)
		}
		keys = keys[len(some):]
	}
	return nil
}

func (t *Times) writeEach(ctx context.Context, keys []string, seen map[string]int64) error {
	query := fmt.Sprintf(`UPDATE {%s} SET last_used_at = ? WHERE %s = ? AND (last_used_at IS NULL OR last_used_at <= ?)`, t.table, t.key)
	return t.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		for _, key := range keys {
			var id any = key
			if t.keyType == "BYTEA" {
				id = []byte(key)
			}
			if _, err := tx.Run(query, seen[key], id, seen[key]-Resolution.Milliseconds()); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeTogether spares PostgreSQL a round trip per key: introspection of many tokens is worth one write of each.
func (t *Times) writeTogether(ctx context.Context, keys []string, seen map[string]int64) error {
	var ids any = keys
	if t.keyType == "BYTEA" {
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
	_, err := t.db.Run(ctx, fmt.Sprintf(`UPDATE {%[1]s} SET last_used_at = used.at
		FROM unnest(CAST(? AS %[3]s[]), CAST(? AS BIGINT[])) AS used (id, at)
		WHERE {%[1]s}.%[2]s = used.id AND (last_used_at IS NULL OR last_used_at <= used.at - CAST(? AS BIGINT))`, t.table, t.key, t.keyType),
		ids, times, Resolution.Milliseconds())
	return err
}
