package observe

import (
	"context"
	"errors"
	"time"

	"fosite-mcp/storage"
)

// housekeepingInterval is how often the store looks for what is due.
const housekeepingInterval = 15 * time.Second

// Housekeep does the housekeeping until ctx ends, as work says. End ctx after the last request: then its times of last use are written.
func (o *Observer) Housekeep(ctx context.Context, store *storage.Store, work storage.Maintenance) {
	ticker := time.NewTicker(housekeepingInterval)
	defer ticker.Stop()
	for {
		o.housekeepOnce(ctx, store, work)
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := store.FlushUsage(ctx); err != nil {
				o.log.WarnContext(ctx, "the times of last use of the last minute were not written and are lost", "cause", err)
			}
			return
		case <-ticker.C:
		}
	}
}

func (o *Observer) housekeepOnce(ctx context.Context, store *storage.Store, work storage.Maintenance) {
	var deleted int64
	work.Progress = func(table string, n int64) {
		o.cleaned.WithLabelValues(table).Add(float64(n))
		deleted += n
	}
	work.Done = func(task storage.MaintenanceTask, err error) {
		if task == storage.TaskCleanUp {
			o.cleanedUp(ctx, deleted, err)
		}
		o.told(ctx, store, task, err)
	}
	_ = store.Maintain(ctx, work) // Done has logged the error
	o.auditLog.verify(ctx, store, o.Registry)
}

// told logs and measures how a task went.
func (o *Observer) told(ctx context.Context, store *storage.Store, task storage.MaintenanceTask, err error) {
	if ctx.Err() != nil {
		return // the server stops, which is no failure
	}
	switch task {
	case storage.TaskCheck:
		up := 1.0
		if err != nil {
			up = 0
			o.log.ErrorContext(ctx, "the database is not well; /readyz says so while it takes no writes", "cause", err)
		}
		o.database.Set(up)
	case storage.TaskUsage:
		if err != nil {
			o.log.WarnContext(ctx, "the times of last use were not written; they will be with the next ones", "cause", err)
		}
	case storage.TaskCleanUp:
		o.countEnding(ctx, store)
	}
}

// cleanedUp counts and logs a clean-up. One that ends because the server stops has not failed: the next one continues it.
func (o *Observer) cleanedUp(ctx context.Context, deleted int64, err error) {
	switch {
	case err == nil:
		o.cleaning.WithLabelValues("done").Inc()
	case errors.Is(err, storage.ErrCleaningElsewhere):
		o.cleaning.WithLabelValues("elsewhere").Inc()
	case ctx.Err() == nil:
		o.cleaning.WithLabelValues("failed").Inc()
		o.log.ErrorContext(ctx, "clean-up failed; it will be tried again", "cause", err)
	}
	if deleted > 0 {
		o.log.InfoContext(ctx, "cleaned up", "deleted_rows", deleted)
	}
}
