package cmd

import (
	"context"
	"errors"
	"time"

	"fosite-mcp/storage"
)

// How often expired rows are looked for, how often the notes on what was last used are written down, and how often the
// database is looked after.
const (
	cleanUpInterval = 5 * time.Minute
	usageInterval   = time.Minute
	checkInterval   = 15 * time.Second
)

// maintain does the housekeeping in the background until ctx ends. Let ctx end after the last request, so that what it
// used is written down as well.
func (o *observer) maintain(ctx context.Context, store *storage.Store, auditRetention time.Duration) {
	cleanUp, usage, check := time.NewTicker(cleanUpInterval), time.NewTicker(usageInterval), time.NewTicker(checkInterval)
	defer cleanUp.Stop()
	defer usage.Stop()
	defer check.Stop()
	o.cleanUp(ctx, store, auditRetention)
	for {
		select {
		case <-ctx.Done():
			if err := flushUsage(context.WithoutCancel(ctx), store); err != nil {
				o.log.WarnContext(ctx, "the times of last use of the last minute were not written and are lost", "cause", err)
			}
			return
		case <-usage.C:
			if err := flushUsage(ctx, store); err != nil && ctx.Err() == nil {
				o.log.WarnContext(ctx, "the times of last use were not written; they will be with the next ones", "cause", err)
			}
		case <-cleanUp.C:
			o.cleanUp(ctx, store, auditRetention)
		case <-check.C:
			o.check(ctx, store)
		}
	}
}

// check finds out whether the database takes writes, for /readyz, and gives back disk space that its log needs no more.
func (o *observer) check(ctx context.Context, store *storage.Store) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := errors.Join(store.CheckWrites(ctx), store.ShrinkLog(ctx))
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		o.log.ErrorContext(ctx, "the database is not well; /readyz says so while it takes no writes", "cause", err)
	}
}

func flushUsage(ctx context.Context, store *storage.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return store.FlushUsage(ctx)
}

func (o *observer) cleanUp(ctx context.Context, store *storage.Store, auditRetention time.Duration) {
	deleted, err := store.CleanUp(ctx, storage.CleanUp{Progress: func(table string, n int64) {
		o.cleaned.WithLabelValues(table).Add(float64(n))
	}})
	if err == nil {
		err = prune(ctx, store, auditRetention)
	}
	o.cleanedUp(ctx, deleted, err)
}

// prune deletes what has no expiry of its own.
func prune(ctx context.Context, store *storage.Store, auditRetention time.Duration) error {
	err := store.PruneIdempotencyKeys(ctx)
	if auditRetention > 0 {
		_, auditErr := store.Audit().Prune(ctx, time.Now().Add(-auditRetention))
		err = errors.Join(err, auditErr)
	}
	return err
}

// cleanedUp says how a clean-up went. One that was interrupted, because the server stops, has not failed: the next one
// goes on where it was.
func (o *observer) cleanedUp(ctx context.Context, deleted int64, err error) {
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
