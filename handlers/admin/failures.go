package admin

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// failures slows down addresses whose logins fail, and samples what is put on record.
type failures struct {
	record   *rate.Limiter
	overflow *rate.Limiter // shared by all addresses that do not fit
	mu       sync.Mutex
	byIP     map[netip.Prefix]*rate.Limiter
	swept    time.Time
}

const (
	failureBurst    = 10
	failureInterval = 6 * time.Second // one more attempt
	failureIPs      = 10_000          // bounds the memory
	recordBurst     = 50
	recordInterval  = 10 * time.Second
)

func newFailures() *failures {
	return &failures{
		record:   rate.NewLimiter(rate.Every(recordInterval), recordBurst),
		overflow: rate.NewLimiter(rate.Every(failureInterval), failureBurst),
		byIP:     make(map[netip.Prefix]*rate.Limiter),
	}
}

// note counts a failure of a network and tells how long it should wait; 0: not at all.
func (f *failures) note(network netip.Prefix, now time.Time) time.Duration {
	limiter := f.limiter(network, now)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return time.Duration((1 - limiter.TokensAt(now)) * float64(failureInterval))
}

// onRecord tells whether a failure at now should go into the audit log.
func (f *failures) onRecord(now time.Time) bool { return f.record.AllowN(now, 1) }

func (f *failures) limiter(network netip.Prefix, now time.Time) *rate.Limiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	if limiter, known := f.byIP[network]; known {
		return limiter
	}
	if len(f.byIP) >= failureIPs && now.Sub(f.swept) > failureInterval {
		f.swept = now
		for known, limiter := range f.byIP {
			if limiter.TokensAt(now) >= failureBurst {
				delete(f.byIP, known) // nothing is held against it any more
			}
		}
	}
	if len(f.byIP) >= failureIPs {
		return f.overflow
	}
	limiter := rate.NewLimiter(rate.Every(failureInterval), failureBurst)
	f.byIP[network] = limiter
	return limiter
}
