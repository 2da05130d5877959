package resource

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fromNow       = "now" // the cursor of who has kept nothing yet
	fromBeginning = ""    // the cursor of who wants all that the server still knows

	maxWait      = 25 * time.Second // proxies cut off longer answers
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 800 * time.Millisecond
	// refusedBackoff follows an answer that will not change soon, such as 401.
	refusedBackoff = 5 * time.Second
	maxRetryAfter  = 30 * time.Second
)

// A listener hears what the feed says, in its order.
type listener interface {
	// restart says that revocations may have been missed: what is known so far
	// is not sure.
	restart()
	// revoked tells of revocations. One may be told twice.
	revoked([]revocation)
}

// follower asks the feed again and again, and tells a listener.
//
// Each answer is complete as of the moment at which its request was sent, by
// the clock of this machine: no other clock is involved. A stream of events
// would not say that, since bytes that waited in a buffer look new.
type follower struct {
	feed     feed
	from     string
	bound    time.Duration
	listener listener
	logger   *slog.Logger

	complete atomic.Pointer[time.Time] // when the newest complete answer was asked for
	stop     context.CancelFunc
	done     chan struct{}

	cursor   string
	hurried  bool // the server lets no more requests of this client wait
	failures int
	quiet    seldom
}

// follow starts to follow the feed.
func (c *Config) follow(from string, bound time.Duration, l listener) *follower {
	if bound == 0 {
		bound = defaultBound
	}
	polling := c.caller()
	polling.client.Timeout = 0 // the server waits on purpose; each request has its own limit
	f := &follower{
		feed: feed{c.Revocations, c.Resource, polling},
		from: from, bound: bound, listener: l, logger: c.logger(),
	}
	f.start()
	return f
}

// start follows the feed until close.
func (f *follower) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop, f.done = cancel, make(chan struct{})
	go func() {
		defer close(f.done)
		for ctx.Err() == nil {
			pause(ctx, f.poll(ctx))
		}
		f.complete.Store(nil)
	}()
}

// close ends what start began. It may be called again.
func (f *follower) close() {
	f.stop()
	<-f.done
}

// fresh reports whether all that was revoked before the bound has been heard.
func (f *follower) fresh(now time.Time) bool {
	complete := f.complete.Load()
	return complete != nil && elapsed(*complete, now) < f.bound
}

// poll asks once, and returns how long to pause before the next time.
func (f *follower) poll(ctx context.Context) time.Duration {
	wait := min(f.bound/4, maxWait)
	after := f.cursor
	if after == "" {
		after, wait = f.from, 0
	}
	if f.hurried {
		f.hurried, wait = false, 0
	}
	limited, cancel := context.WithTimeout(ctx, wait+max(f.bound, time.Second))
	defer cancel()
	sent := time.Now()
	got, err := f.feed.get(limited, after, wait)
	if err != nil {
		return f.failed(ctx, wait, err)
	}
	if f.failures > 0 {
		f.logger.Info("the revocation feed is followed again", "endpoint", f.feed.endpoint)
		f.failures = 0
	}
	first, repeated := f.cursor == "", f.cursor == got.Cursor
	if first || got.Reset {
		f.restart()
	}
	if got.Reset && !first && f.from == fromBeginning {
		return firstBackoff // load all of it again
	}
	if len(got.Revocations) > 0 {
		f.listener.revoked(got.Revocations)
	}
	f.cursor = got.Cursor
	switch {
	case got.More && (repeated || got.Reset || len(got.Revocations) == 0):
		return firstBackoff // there is more, and this page got us no further
	case got.More:
		return 0
	}
	f.complete.Store(&sent)
	return f.pace(time.Since(sent), wait, repeated)
}

// pace keeps a server that does not wait, or that tells the same again, from
// being asked without end. Many revocations come in batches.
func (f *follower) pace(took, wait time.Duration, repeated bool) time.Duration {
	if repeated && took < wait {
		return min(wait-took, f.bound/8)
	}
	return f.bound / 100
}

// restart begins anew. Nothing is fresh any more before the listener forgets.
func (f *follower) restart() {
	f.complete.Store(nil)
	f.cursor = ""
	f.listener.restart()
}

func (f *follower) failed(ctx context.Context, wait time.Duration, err error) time.Duration {
	if ctx.Err() != nil {
		return 0 // closed
	}
	var refused *refusedError
	if errors.As(err, &refused) && refused.status == http.StatusTooManyRequests && wait > 0 {
		f.hurried = true // other processes of this service wait already
		return min(max(firstBackoff, refused.retryAfter), f.bound/4)
	}
	var garbled unreadable
	if errors.As(err, &garbled) {
		f.restart()
	}
	f.failures++
	if f.quiet.due(time.Now()) {
		f.logger.Error("the revocation feed cannot be followed: until it can, the authorization server is asked about every token",
			"endpoint", f.feed.endpoint, "error", err)
	}
	backoff := min(firstBackoff<<min(f.failures-1, 10), maxBackoff)
	if refused != nil {
		switch refused.status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
			backoff = refusedBackoff
		case http.StatusTooManyRequests:
			backoff = min(max(backoff, refused.retryAfter), maxRetryAfter)
		}
	}
	return backoff + rand.N(backoff/4)
}

// pause waits, or returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// seldom says yes once a minute.
type seldom struct {
	mu   sync.Mutex
	last time.Time
}

func (s *seldom) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < time.Minute {
		return false
	}
	s.last = now
	return true
}
