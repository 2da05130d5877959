package storage

import (
	"context"
	"time"

	"fosite-mcp/storage/internal/database"
)

// ClockDifference tells how far the clock of this process is ahead of the database's; behind it is negative. The time that the answer
// takes is left out of it. On SQLite there is one clock, and the difference is 0.
func (s *Housekeeping) ClockDifference(ctx context.Context) (time.Duration, error) {
	if !s.db.Postgres {
		return 0, nil
	}
	asked := s.now()
	shared, err := s.askClock(ctx)
	answered := s.now()
	switch {
	case err != nil:
		return 0, err
	case asked.After(shared):
		return asked.Sub(shared), nil
	case answered.Before(shared):
		return answered.Sub(shared), nil
	}
	return 0, nil
}

// askClock asks PostgreSQL for the time.
func (s *core) askClock(ctx context.Context) (time.Time, error) {
	var micros int64
	err := s.db.QueryRow(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&micros)
	return time.UnixMicro(micros), database.Wrap(err, "read the database's clock")
}

// sharedTime is the time on which all replicas agree.
func (s *core) sharedTime(ctx context.Context) (time.Time, error) {
	if !s.db.Postgres || s.replaced {
		return s.now(), nil
	}
	return s.askClock(ctx)
}

// cleaningTime is the earlier of this process's time and the database's. A clock that is ahead must not delete what lives.
func (s *core) cleaningTime(ctx context.Context) (time.Time, error) {
	shared, err := s.sharedTime(ctx)
	if own := s.now(); own.Before(shared) {
		return own, err
	}
	return shared, err
}
