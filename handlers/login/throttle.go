package login

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// backoff says how fast attempts may follow each other. The first ones, as many as free, do not wait. Each further one
// waits twice as long as the one before, up to ceiling. Each time that forget has passed, one attempt is forgotten.
type backoff struct {
	free            float64
	ceiling, forget time.Duration
}

var (
	accountBackoff = backoff{free: 5, ceiling: 15 * time.Second, forget: time.Minute}  // of one account at one address
	crowdedBackoff = backoff{ceiling: time.Minute, forget: time.Minute}                // the same beyond sharedBackoff
	sharedBackoff  = backoff{free: 20, ceiling: time.Minute, forget: 10 * time.Second} // of all at one address, or on one account
)

// delay is the wait after the attempt that raised the level.
func (b backoff) delay(level float64) time.Duration {
	if level <= b.free {
		return 0
	}
	return time.Duration(min(math.Exp2(level-b.free-1)*float64(time.Second), float64(b.ceiling)))
}

// top is the level at which the wait is ceiling.
func (b backoff) top() float64 { return b.free + math.Ceil(math.Log2(b.ceiling.Seconds())) + 1 }

// throttled is how many keys are remembered. A new key replaces the one that was used least recently.
const throttled = 20_000

// throttle slows down attempts to guess passwords. It is kept in memory: each replica counts for itself.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	entries *simplelru.LRU[string, *attempts]
}

type attempts struct {
	level float64
	at    time.Time // the last attempt that was let through
}

func newThrottle(now func() time.Time) *throttle {
	entries, err := simplelru.NewLRU[string, *attempts](throttled, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &throttle{now: now, entries: entries}
}

// counted is an attempt that try has counted.
type counted struct {
	key           string
	before, after attempts
}

// try counts an attempt before its outcome is known, so that attempts at the same time do not pass uncounted. One that
// comes too early is not counted; wait is the time that is left.
func (t *throttle) try(key string, b backoff) (c counted, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	entry := t.entry(key, now)
	elapsed := now.Sub(entry.at)
	if elapsed < 0 { // the clock was set back
		entry.at, elapsed = now, 0
	}
	if wait := b.delay(entry.level) - elapsed; wait > 0 {
		return counted{}, wait
	}
	c = counted{key: key, before: *entry}
	entry.level = min(max(entry.level-elapsed.Seconds()/b.forget.Seconds(), 0)+1, b.top())
	entry.at = now
	c.after = *entry
	return c, 0
}

func (t *throttle) entry(key string, now time.Time) *attempts {
	entry, known := t.entries.Get(key)
	if !known {
		entry = &attempts{at: now}
		t.entries.Add(key, entry)
	}
	return entry
}

// takeBack uncounts an attempt. Attempts that were counted since stay counted.
func (t *throttle) takeBack(c counted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry, known := t.entries.Peek(c.key)
	switch {
	case !known:
	case *entry == c.after:
		*entry = c.before
	default:
		entry.level = max(entry.level-1, 0)
	}
}

// forget uncounts all attempts of a key.
func (t *throttle) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries.Remove(key)
}
