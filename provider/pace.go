package provider

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// pace spreads refusals over time when there are very many of them. Whoever tries secrets as fast as the server answers
// would otherwise get most of its processors, whatever a comparison costs. The zero value is ready.
type pace struct {
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
func (p *pace) hold(ctx context.Context) {
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
