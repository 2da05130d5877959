package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
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
	// A revocation ends after the tokens that it has ended. The newest one stays: SQLite counts on from its position.
	{"revocations", "position, id", `AND position < (SELECT MAX(position) FROM {revocations})
		AND NOT EXISTS (SELECT 1 FROM {access_tokens} t WHERE {revocations}.kind = 'grant' AND t.request_id = {revocations}.name)
		AND NOT EXISTS (SELECT 1 FROM {access_tokens} t WHERE {revocations}.kind = 'client' AND t.client_id = {revocations}.name
			AND t.issued_at <= {revocations}.created_at + 60000)`},
}

// CleanUp says how [Housekeeping.CleanUp] works. The zero value is useful.
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
// On PostgreSQL a row has expired once it has by the database's clock and by that of this process.
//
// Used codes and rotated refresh tokens stay until they expire: until then their reuse must be noticed.
func (s *Housekeeping) CleanUp(ctx context.Context, o CleanUp) (total int64, err error) {
	if o.Batch <= 0 {
		o.Batch = 50
		if s.db.Postgres {
			o.Batch = 500
		}
	}
	if o.Share <= 0 || o.Share > 1 {
		o.Share = 0.5
	}
	lease := &lease{store: s.core, holder: rand.Text()}
	if err := lease.take(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lease.release(context.WithoutCancel(ctx))) }()
	for _, e := range expiring {
		if e.table == "login_sessions" && s.external != nil {
			continue // a store without people
		}
		n, err := s.cleanTable(ctx, e.table, e.key, e.condition, o, lease)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *Housekeeping) cleanTable(ctx context.Context, table, key, condition string, o CleanUp, lease *lease) (total int64, err error) {
	// A row is kept for a minute after its end, so that a clock that is a little behind never misses one that it
	// still counts as alive. Each batch begins where the last one ended: to begin anew, PostgreSQL would have to pass by
	// everything that was deleted before, until it vacuums.
	query := fmt.Sprintf(`DELETE FROM {%[1]s} WHERE (%[2]s) IN
		(SELECT %[2]s FROM {%[1]s} WHERE expires_at >= ? AND expires_at < ? %[3]s ORDER BY expires_at LIMIT ?)
		RETURNING expires_at`, table, key, condition)
	now, err := s.cleaningTime(ctx)
	if err != nil {
		return 0, err
	}
	from := int64(math.MinInt64)
	for {
		if err := lease.renew(ctx); err != nil {
			return total, err
		}
		start := time.Now()
		n, last, err := s.deleteBatch(ctx, query, from, model.Millis(now.Add(-time.Minute)), o.Batch)
		if err != nil {
			return total, database.Wrap(err, "clean up "+table)
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
func (s *Housekeeping) deleteBatch(ctx context.Context, query string, args ...any) (n, last int64, err error) {
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

// lease is the right to clean, held in the database: a row of authorize_sessions that ends with the right, and whose request
// is its holder.
type lease struct {
	store  *core
	holder string
	held   time.Time // since when, by the clock of this process
}

var leaseKey = hashOf("cleanup")

func (l *lease) take(ctx context.Context) error {
	now, err := l.store.sharedTime(ctx)
	if err != nil {
		return err
	}
	l.held = l.store.now()
	return l.hold(ctx, "take", `INSERT INTO {authorize_sessions} (kind, signature, request_id, client_id, epoch, scope, audience, issued_at, expires_at)
		VALUES ('cleanup', ?, ?, '', 0, '', '', ?, ?)
		ON CONFLICT (kind, signature) DO UPDATE SET request_id = excluded.request_id, expires_at = excluded.expires_at
		WHERE {authorize_sessions}.expires_at < ?`, leaseKey, l.holder, model.Millis(now), model.Millis(now.Add(cleanUpLease)), model.Millis(now))
}

// renew prolongs the lease once half of it has passed.
func (l *lease) renew(ctx context.Context) error {
	if l.store.now().Sub(l.held) < cleanUpLease/2 {
		return nil
	}
	now, err := l.store.sharedTime(ctx)
	if err != nil {
		return err
	}
	l.held = l.store.now()
	return l.hold(ctx, "keep", `UPDATE {authorize_sessions} SET expires_at = ? WHERE kind = 'cleanup' AND signature = ? AND request_id = ?`,
		model.Millis(now.Add(cleanUpLease)), leaseKey, l.holder)
}

func (l *lease) release(ctx context.Context) error {
	err := l.hold(ctx, "give back", `DELETE FROM {authorize_sessions} WHERE kind = 'cleanup' AND signature = ? AND request_id = ?`, leaseKey, l.holder)
	if errors.Is(err, ErrCleaningElsewhere) {
		return nil
	}
	return err
}

func (l *lease) hold(ctx context.Context, what, statement string, args ...any) error {
	n, err := l.store.db.Run(ctx, statement, args...)
	return database.MustChange(n, err, what+" the clean-up lease", ErrCleaningElsewhere)
}
