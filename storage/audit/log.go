package audit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/storage/internal/database"
)

// Log is a chain of events, in which each holds the hash of the one before. It is safe for concurrent use.
type Log struct {
	db       *database.DB
	now      func() time.Time
	enabled  bool
	listener func(Event)
	changes  sync.Map // PostgreSQL's: *Change → *database.Together[*changeOf]
	end      atomic.Pointer[ending]
}

// New makes the log of db. A log that is not enabled has no table: it makes changes and stores no events. listener, if not nil,
// is called for every event that has become durable.
func New(db *database.DB, now func() time.Time, enabled bool, listener func(Event)) *Log {
	l := &Log{db: db, now: now, enabled: enabled, listener: listener}
	db.Flush, db.Flushed = l.flush, l.flushed
	return l
}

// Append adds an event. Call it in the transaction of the change that the event describes: both become durable together, or
// neither.
func (l *Log) Append(ctx context.Context, event Event) error {
	if !l.enabled {
		return nil
	}
	filled := event.Filled(ctx, l.now())
	return l.db.Write(ctx, func(ctx context.Context, _ *database.Tx) error {
		return l.db.Defer(ctx, &link{Event: filled}) // a transaction that is run again stores it anew
	})
}
