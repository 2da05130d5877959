package storage

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// Maintenance says how [Housekeeping.Maintain] works. The zero value is useful.
type Maintenance struct {
	CleanUp
	// AuditRetention is how long audit events are kept; 0: they are never deleted.
	AuditRetention time.Duration
	// UnusedRegistrations is how long a client that has registered itself is kept if it is never used; 0: forever.
	UnusedRegistrations time.Duration
	// Done is told how each task went that was due; nil: nobody.
	Done func(task MaintenanceTask, err error)
}

// MaintenanceTask is a part of [Housekeeping.Maintain].
type MaintenanceTask int

// The tasks, in the order in which they are done.
const (
	TaskCheck   MaintenanceTask = iota // whether the database takes writes, and the size of SQLite's log: every 15 seconds
	TaskUsage                          // times of last use, see [Housekeeping.FlushUsage]: every minute
	TaskCleanUp                        // what has expired, or is older than it may be: every 5 minutes
)

func (t MaintenanceTask) String() string { return [...]string{"check", "usage", "clean-up"}[t] }

// maintenanceTasks tells how often tasks are due, how long they may take, and what they do.
var maintenanceTasks = [...]struct {
	every, limit time.Duration
	do           func(s *Housekeeping, ctx context.Context, o Maintenance) error
}{
	TaskCheck: {15 * time.Second, 10 * time.Second, func(s *Housekeeping, ctx context.Context, _ Maintenance) error {
		return errors.Join(s.CheckWrites(ctx), s.ShrinkLog(ctx))
	}},
	TaskUsage: {time.Minute, 10 * time.Second, func(s *Housekeeping, ctx context.Context, _ Maintenance) error {
		return s.FlushUsage(ctx)
	}},
	TaskCleanUp: {5 * time.Minute, asLongAsItTakes, (*Housekeeping).cleanUpAll},
}

const asLongAsItTakes = math.MaxInt64

// timetable remembers when each task was begun. The zero value is ready.
type timetable struct {
	mu    sync.Mutex
	begun [TaskCleanUp + 1]time.Time
}

// due tells whether it is time for a task, and begins it. A call that comes a little early, as those of tickers do, is in
// time; a clock that was put back begins anew.
func (t *timetable) due(task MaintenanceTask, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.begun[task]); since >= 0 && since < maintenanceTasks[task].every*9/10 {
		return false
	}
	t.begun[task] = now
	return true
}

// Maintain does the regular tasks that are due. Call it every quarter of a minute, or at least every minute, and
// [Housekeeping.FlushUsage] once more before the program ends. While another process cleans up this one does not, and that is
// no error. An error names the task that failed. The other tasks were done, and the next call does those that are due then.
func (s *Housekeeping) Maintain(ctx context.Context, o Maintenance) error {
	var errs []error
	for task, t := range maintenanceTasks {
		task := MaintenanceTask(task)
		if !s.timetable.due(task, s.now()) {
			continue
		}
		within, cancel := context.WithTimeout(ctx, t.limit)
		err := t.do(s, within, o)
		cancel()
		if o.Done != nil {
			o.Done(task, err)
		}
		if !errors.Is(err, ErrCleaningElsewhere) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cleanUpAll deletes what has expired, and then what has no expiry of its own.
func (s *Housekeeping) cleanUpAll(ctx context.Context, o Maintenance) error {
	if _, err := s.CleanUp(ctx, o.CleanUp); err != nil || s.external != nil {
		return err // or there are tokens alone
	}
	now, err := s.cleaningTime(ctx)
	if err != nil {
		return err
	}
	err = s.idempotencyKeys.Prune(ctx, now)
	if o.UnusedRegistrations > 0 {
		_, dropErr := s.clients.DropUnused(ctx, now.Add(-o.UnusedRegistrations))
		err = errors.Join(err, dropErr)
	}
	if o.AuditRetention > 0 {
		_, auditErr := s.log.Prune(ctx, now.Add(-o.AuditRetention))
		err = errors.Join(err, auditErr)
	}
	return err
}

// FlushUsage writes the times of last use that were noted since the last call. Call it every minute or so, and before
// the program ends. What cannot be written waits for the next call.
func (s *Housekeeping) FlushUsage(ctx context.Context) error {
	var errs []error
	if s.external == nil {
		errs = append(errs, s.clients.FlushUsage(ctx))
	}
	return errors.Join(append(errs, s.tokensUsed.Write(ctx), s.adminKeysUsed.Write(ctx))...)
}
