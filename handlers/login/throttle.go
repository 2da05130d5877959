package login

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// pace says how fast attempts may follow each other: as many as free at once, then each waits twice as long as the one
// before, up to ceiling. One attempt is forgotten after each forget.
type pace struct {
	free            float64
	ceiling, forget time.Duration
}

var (
	accountPace = pace{free: 5, ceiling: 15 * time.Second, forget: time.Minute}  // of one account at one address
	crowdedPace = pace{ceiling: time.Minute, forget: time.Minute}                // the same beyond sharedPace
	sharedPace  = pace{free: 20, ceiling: time.Minute, forget: 10 * time.Second} // of all at one address, or on one account
)

// delay is how long to wait after the attempt that raised the level.
func (p pace) delay(level float64) time.Duration {
	if level <= p.free {
		return 0
	}
	return time.Duration(min(math.Exp2(level-p.free-1)*float64(time.Second), float64(p.ceiling)))
}

// top is the level beyond which nothing gets slower.
func (p pace) top() float64 { return p.free + math.Ceil(math.Log2(p.ceiling.Seconds())) + 1 }

// throttled is how many keys are remembered. The one that was used least recently makes room.
const throttled = 20_000

// throttle slows down those who guess passwords. It lives in memory: replicas count each for itself.
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

// counted is what try has done.
type counted struct {
	key           string
	before, after attempts
}

// try counts an attempt before its outcome is known, so that many at once are no way around. One that comes too early
// is not counted: wait is how long to hold back.
func (t *throttle) try(key string, p pace) (c counted, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	entry := t.entry(key, now)
	elapsed := now.Sub(entry.at)
	if elapsed < 0 { // the clock was set back
		entry.at, elapsed = now, 0
	}
	if wait := p.delay(entry.level) - elapsed; wait > 0 {
		return counted{}, wait
	}
	c = counted{key: key, before: *entry}
	entry.level = min(max(entry.level-elapsed.Seconds()/p.forget.Seconds(), 0)+1, p.top())
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

// takeBack undoes what try has done. What others have added since stays.
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

// forget takes all attempts back.
func (t *throttle) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries.Remove(key)
}
