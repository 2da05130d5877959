package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestRetry(t *testing.T) {
	down := errors.New("connection refused")
	var waited []time.Duration
	noWait := func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
	failingUntil := func(n int) func() error {
		var calls atomic.Int32
		return func() error {
			if int(calls.Add(1)) < n {
				return down
			}
			return nil
		}
	}
	var told int
	tell := func(error) { told++ }

	if err := retry(t.Context(), failingUntil(3), noWait, tell); err != nil || len(waited) != 2 || told != 2 {
		t.Errorf("success at the third attempt: %v, waited %v, told %d times", err, waited, told)
	}
	waited = nil
	if err := retry(t.Context(), failingUntil(attempts+1), noWait, tell); !errors.Is(err, down) {
		t.Errorf("no success: %v, want the last failure", err)
	}
	var sum time.Duration
	for _, d := range waited {
		sum += d
	}
	if sum < 50*time.Second || sum > 70*time.Second {
		t.Errorf("it waited %s in all, want about a minute", sum)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := retry(ctx, failingUntil(2), wait, tell); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, want context.Canceled", err)
	}
}
