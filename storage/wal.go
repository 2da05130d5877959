package storage

import (
	"context"
	"database/sql/driver"
	"os"

	"fosite-mcp/storage/internal/database"
)

// walLimit is how large SQLite's log may be. SQLite reuses it from 4 MB on. During a long read it cannot, and the log keeps the
// size to which it has grown.
const walLimit = 8 << 20

// ShrinkLog gives back the disk space of a SQLite log that has grown while somebody read for long, once nobody does.
// Call it every quarter of a minute; it costs a look at the file. PostgreSQL sees to its own log.
func (s *Housekeeping) ShrinkLog(ctx context.Context) error {
	if s.db.Postgres {
		return nil
	}
	pool, err := s.db.Host().DB()
	if err != nil {
		return database.Wrap(err, "shrink the log")
	}
	var file string
	if err := pool.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		return database.Wrap(err, "find the database file")
	}
	log, err := os.Stat(file + "-wal")
	if err != nil || log.Size() <= walLimit {
		return nil //nolint:nilerr // a database without a log has nothing to shrink
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return database.Wrap(err, "shrink the log")
	}
	// With its shorter wait this connection is of no use to anybody else.
	defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }()
	checkpoint := func(mode string) (whole bool, err error) {
		var busy, frames, copied int
		err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &copied)
		return busy == 0 && frames == copied, err
	}
	// First the work that blocks nobody. The rest would wait for those who still read an older state, and writers would wait
	// with it.
	whole, err := checkpoint("PASSIVE")
	if err == nil && whole {
		_, err = conn.ExecContext(ctx, "PRAGMA busy_timeout = 50")
	}
	if err == nil && whole {
		_, err = checkpoint("TRUNCATE")
	}
	return database.Wrap(err, "shrink the log")
}
