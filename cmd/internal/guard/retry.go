package guard

import (
	"context"
	"time"
)

// The authorization server may be started at the same time as this one.
const (
	attempts   = 17 // about a minute in all
	firstDelay = 250 * time.Millisecond
	maxDelay   = 5 * time.Second
)

// retry repeats work until it succeeds, attempts are used up, or ctx is done.
// It returns the last error of work, or that of ctx. Failed hears of each
// failure that is followed by another attempt.
func retry(ctx context.Context, work func() error, wait func(context.Context, time.Duration) error, failed func(error)) error {
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		err := work()
		if err == nil || attempt == attempts {
			return err
		}
		failed(err)
		if err := wait(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, maxDelay)
	}
}

func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
