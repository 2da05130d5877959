package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"fosite-mcp/storage/internal/database"
)

// expiring are the tables whose rows end by themselves. Grants come last: a grant ends after its tokens, whatever its
// own expiry says, because without the row of a revoked grant its access tokens would count again.
var expiring = []struct{ table, key, condition string }{
	{"access_tokens", "signature", ""},
	{"refresh_tokens", "signature", ""},
	{"authorize_sessions", "kind, signature", ""},
	{"used_assertions", "jti_hash", ""},
	{"login_sessions", "token_hash", ""},
	{"grants", "id", "AND NOT EXISTS (SELECT 1 FROM {access_tokens} t WHERE t.request_id = {grants}.id)"},
}

// CleanUp says how [Store.CleanUp] works. The zero value is useful.
type CleanUp struct {
	// Batch is how many rows one statement deletes; default 50 on SQLite, where other writes wait for it, and 500 on
	// PostgreSQL, where they do not.
	Batch int
	// Share is the part of the time that may be spent deleting, between 0 and 1; default 0.5.
	Share float64
	// Progress is called after every batch; nil: nobody.
	Progress func(table string, deleted int64)
}

// ErrCleaningElsewhere says that another process cleans this database right now.
var ErrCleaningElsewhere = errors.New("storage: another process is cleaning up this database")

// cleanUpLease is how long a process that stopped in the middle keeps others from taking over.
const cleanUpLease = time.Minute

// CleanUp deletes expired rows in small batches, driven by the index on their expiry, and returns how many there
// were. Writers go on meanwhile. Of all processes that share a database one cleans at a time; the others get
// [ErrCleaningElsewhere]. Interrupted, it loses nothing: the next call goes on.
//
// Used codes and rotated refresh tokens stay until they expire: until then their reuse must be noticed.
func (s *Store) CleanUp(ctx context.Context, o CleanUp) (total int64, err error) {
	if o.Batch <= 0 {
		o.Batch = 50
		if s.db.Postgres() {
			o.Batch = 500
		}
	}
	if o.Share <= 0 || o.Share > 1 {
		o.Share = 0.5
	}
	lease := &lease{store: s, holder: rand.Text()}
	if err := lease.take(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lease.release(context.WithoutCancel(ctx))) }()
	for _, e := range expiring {
		n, err := s.cleanTable(ctx, e.table, e.key, e.condition, o, lease)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *Store) cleanTable(ctx context.Context, table, key, condition string, o CleanUp, lease *lease) (total int64, err error) {
	// A row is kept for a minute after its end, so that a clock that is a little behind never misses one that it
	// still counts as alive. Each batch begins where the last one ended: to begin anew, PostgreSQL would have to pass by
	// everything that was deleted before, until it vacuums.
	query := fmt.Sprintf(`DELETE FROM {%[1]s} WHERE (%[2]s) IN
		(SELECT %[2]s FROM {%[1]s} WHERE expires_at >= ? AND expires_at < ? %[3]s ORDER BY expires_at LIMIT ?)
		RETURNING expires_at`, table, key, condition)
	from := int64(math.MinInt64)
	for {
		if err := lease.renew(ctx); err != nil {
			return total, err
		}
		start := time.Now()
		n, last, err := s.deleteBatch(ctx, query, from, millis(s.now().Add(-time.Minute)), o.Batch)
		if err != nil {
			return total, fmt.Errorf("storage: clean up %s: %w", table, err)
		}
		from = max(from, last)
		total += n
		if o.Progress != nil && n > 0 {
			o.Progress(table, n)
		}
		if n < int64(o.Batch) {
			return total, nil
		}
		pause := time.Duration(float64(time.Since(start)) * (1 - o.Share) / o.Share)
		select {
		case <-ctx.Done():
			return total, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// deleteBatch runs a DELETE and returns how many rows it took, and the last of the times that it returned.
func (s *Store) deleteBatch(ctx context.Context, query string, args ...any) (n, last int64, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		n, last = 0, math.MinInt64
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for ; rows.Next(); n++ {
			var expiresAt int64
			if err := rows.Scan(&expiresAt); err != nil {
				return err
			}
			last = max(last, expiresAt)
		}
		return rows.Err()
	})
	return n, last, err
}

// lease is the right to clean, held in the database: a row of settings whose value is the time when the right ends,
// and its holder.
type lease struct {
	store  *Store
	holder string
	until  int64
}

const leaseName = "cleanup_lease"

// value orders by time as text does.
func (l *lease) value(until int64) string {
	return fmt.Sprintf("%019d %s", until, l.holder)
}

func (l *lease) take(ctx context.Context) error {
	if _, err := l.store.SettingOnce(ctx, leaseName, (&lease{}).value(0)); err != nil {
		return err
	}
	now := l.store.now()
	l.until = millis(now.Add(cleanUpLease))
	n, err := l.store.db.Run(ctx, `UPDATE {settings} SET value = ? WHERE name = ? AND value < ?`,
		l.value(l.until), leaseName, fmt.Sprintf("%019d", millis(now)))
	if err != nil {
		return fmt.Errorf("storage: take the clean-up lease: %w", err)
	}
	if n == 0 {
		return ErrCleaningElsewhere
	}
	return nil
}

// renew prolongs the lease once half of it has passed.
func (l *lease) renew(ctx context.Context) error {
	now := l.store.now()
	if l.until-millis(now) > (cleanUpLease / 2).Milliseconds() {
		return nil
	}
	return l.set(ctx, millis(now.Add(cleanUpLease)))
}

func (l *lease) release(ctx context.Context) error {
	if err := l.set(ctx, 0); err != nil && !errors.Is(err, ErrCleaningElsewhere) {
		return err
	}
	return nil
}

func (l *lease) set(ctx context.Context, until int64) error {
	n, err := l.store.db.Run(ctx, `UPDATE {settings} SET value = ? WHERE name = ? AND value = ?`, l.value(until), leaseName, l.value(l.until))
	if err != nil {
		return fmt.Errorf("storage: keep the clean-up lease: %w", err)
	}
	if n == 0 {
		return ErrCleaningElsewhere
	}
	l.until = until
	return nil
}
