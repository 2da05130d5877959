package authserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// How far this machine's clock may be from the database's. Times of tokens and revocations are compared between replicas, and rows
// are kept for a minute after their end: beyond that, a revocation of all tokens issued until now would miss some.
const (
	notableDifference = 5 * time.Second
	refusedDifference = time.Minute
	clockInterval     = time.Minute
)

// clock compares this machine's clock with the database's.
type clock struct {
	compare func(context.Context) (time.Duration, error)
	log     *slog.Logger

	difference atomic.Int64 // in nanoseconds, when it was compared last
}

// Difference is how far this machine's clock was ahead of the database's when they were compared last; behind it is negative.
func (c *clock) Difference() time.Duration { return time.Duration(c.difference.Load()) }

// atStart refuses a clock that is far off. While a server runs it is only told: where the database's clock is the one that is wrong,
// every replica would be.
func (c *clock) atStart(ctx context.Context) error {
	difference, err := c.compare(ctx)
	if err != nil {
		return err
	}
	c.note(ctx, difference)
	if difference.Abs() > refusedDifference {
		return fmt.Errorf("%s, and replicas must agree on the time to a minute: set the clocks of both machines by NTP", told(difference))
	}
	return nil
}

// follow compares the clocks until ctx ends.
func (c *clock) follow(ctx context.Context) {
	ticker := time.NewTicker(clockInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.check(ctx)
		}
	}
}

func (c *clock) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if difference, err := c.compare(ctx); err == nil { // an outage is told elsewhere
		c.note(ctx, difference)
	}
}

// note remembers the difference, and logs it when it becomes notable and when it is so no longer.
func (c *clock) note(ctx context.Context, difference time.Duration) {
	before := time.Duration(c.difference.Swap(int64(difference)))
	switch was, is := before.Abs() > notableDifference, difference.Abs() > notableDifference; {
	case is && !was:
		c.log.WarnContext(ctx, told(difference)+"; set the clocks of both machines by NTP", "difference", difference)
	case was && !is:
		c.log.InfoContext(ctx, "the clock of this machine and the database's agree again", "difference", difference)
	}
}

// detail is what /readyz says of the clock, if anything.
func (c *clock) detail() string {
	if difference := c.Difference(); difference.Abs() > notableDifference {
		return told(difference)
	}
	return ""
}

func told(difference time.Duration) string {
	where := "ahead of"
	if difference < 0 {
		where = "behind"
	}
	return fmt.Sprintf("the clock of this machine is %s %s the database's", difference.Abs().Round(100*time.Millisecond), where)
}
