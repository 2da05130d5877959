package provider

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// refusalLimit limits the rate of refusals. Without it a client that tries secrets as fast as the server answers would take
// most of the processors, even where one comparison is cheap. The zero value is ready.
type refusalLimit struct {
	once    sync.Once
	limiter *rate.Limiter
	held    atomic.Int64
}

const (
	refusalsPerSecond = 500
	refusalsAtOnce    = 100
	maxHold           = time.Second
	maxHeld           = 1000 // of requests: they take memory
)

// hold returns when it is time to refuse.
func (p *refusalLimit) hold(ctx context.Context) {
	p.once.Do(func() { p.limiter = rate.NewLimiter(refusalsPerSecond, refusalsAtOnce) })
	reserved := p.limiter.Reserve()
	wait := reserved.Delay()
	if wait == 0 {
		return
	}
	if wait > maxHold {
		reserved.Cancel()
		wait = maxHold
	}
	defer p.held.Add(-1)
	if p.held.Add(1) > maxHeld {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
