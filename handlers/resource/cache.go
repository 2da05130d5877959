package resource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	defaultBound   = 5 * time.Second
	leastBound     = 100 * time.Millisecond
	defaultMaxAge  = 5 * time.Minute
	defaultEntries = 10_000
	maxKeptAnswer  = 16 << 10 // bytes; a longer answer is not kept
)

// Cache lets an [Introspector] keep positive answers. That is safe because
// the authorization server tells of revocations: the introspector follows its
// feed and drops what has ended. The zero value is ready:
//
//	config.Cache = &resource.Cache{}
//
// A token is refused at the latest Bound after its revocation was
// acknowledged. When the feed cannot be followed, every token is asked about
// again, as without a cache.
type Cache struct {
	// Bound is how long a revoked token may still pass. Zero means 5 seconds,
	// and less than 100 milliseconds is refused. The feed is asked four times
	// within it.
	Bound time.Duration
	// MaxAge is how long an answer is kept. What is not a revocation, such as
	// a change of the person's groups, is seen after it. Zero means 5 minutes.
	MaxAge time.Duration
	// Entries is how many answers are kept at most. Zero means 10,000.
	Entries int
}

// withDefaults returns the settings in use, or what is wrong with them.
func (c Cache) withDefaults() (Cache, error) {
	var problems []error
	if c.Bound != 0 && c.Bound < leastBound {
		problems = append(problems, fmt.Errorf("Cache.Bound is %s: give at least %s, or 0 for %s", c.Bound, leastBound, defaultBound))
	}
	if c.MaxAge < 0 {
		problems = append(problems, fmt.Errorf("Cache.MaxAge is %s: give a positive time, or 0 for %s", c.MaxAge, defaultMaxAge))
	}
	if c.Entries < 0 {
		problems = append(problems, fmt.Errorf("Cache.Entries is %d: give a positive number, or 0 for %d", c.Entries, defaultEntries))
	}
	if c.Bound == 0 {
		c.Bound = defaultBound
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultMaxAge
	}
	if c.Entries == 0 {
		c.Entries = defaultEntries
	}
	return c, errors.Join(problems...)
}

// liveCache answers from memory while the feed is followed closely enough.
type liveCache struct {
	ask      func(ctx context.Context, token string) (*Token, error)
	now      func() time.Time // the clock of exp
	bound    time.Duration
	answers  *answers
	follower *follower

	mu   sync.Mutex
	open map[tokenHash]*question
}

// question is an introspection in progress. Requests with the same token that
// arrive meanwhile wait for its answer.
type question struct {
	asked time.Time
	done  chan struct{} // closed when token and err are set
	token *Token
	err   error
}

func newLiveCache(settings Cache, i *Introspector, c Config) *liveCache {
	cache := &liveCache{
		ask: i.introspect, now: i.now, bound: settings.Bound,
		answers: newAnswers(settings), open: make(map[tokenHash]*question),
	}
	cache.follower = c.follow(fromNow, settings.Bound, cache.answers)
	return cache
}

func (c *liveCache) verify(ctx context.Context, token string) (*Token, error) {
	key := hashToken(token)
	now := time.Now()
	if c.follower.fresh(now) {
		if known := c.answers.get(key, now, c.now()); known != nil {
			return known, nil
		}
	}
	q := c.question(ctx, key, token, now)
	select {
	case <-q.done:
		return q.token, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// question returns the one in progress, or starts one. It does not end with
// ctx: others may wait for it. One that started long ago may have been
// answered before a revocation that is older than the bound.
func (c *liveCache) question(ctx context.Context, key tokenHash, token string, now time.Time) *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.open[key]; q != nil && elapsed(q.asked, now) < c.bound/4 {
		return q
	}
	q := &question{asked: now, done: make(chan struct{})}
	c.open[key] = q
	go c.answer(context.WithoutCancel(ctx), key, token, q)
	return q
}

func (c *liveCache) answer(ctx context.Context, key tokenHash, token string, q *question) {
	generation := c.answers.current()
	q.token, q.err = c.ask(ctx, token)
	switch {
	case q.err == nil:
		c.answers.put(key, q.token, q.asked, generation)
	case errors.Is(q.err, ErrInactive):
		c.answers.remove(key)
	}
	c.mu.Lock()
	if c.open[key] == q {
		delete(c.open, key)
	}
	c.mu.Unlock()
	close(q.done)
}

// elapsed is the time from one moment to another by the clock that went
// further: the monotonic one may stand still while a machine sleeps, and the
// other one may be set back.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}
