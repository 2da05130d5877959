package resource

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	breakAfter = 5           // failures in a row
	breakFor   = time.Second // until one request tries again
)

// breaker keeps requests from a server that fails: they would wait for its
// timeout, and be load for it. It never lets anything through by itself.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	last     error
	until    time.Time
}

// allow returns an error while the server is left alone. When that time is over
// it lets one request through, and others a while later.
func (b *breaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return nil
	}
	if now.Before(b.until) {
		return fmt.Errorf("not asked, after %d failures in a row: %w", b.failures, b.last)
	}
	b.until = now.Add(breakFor)
	return nil
}

// report counts an outage. An answer that may be due to the token, such as 400,
// says that the server is there: nobody can stop requests with a token. Neither
// can a caller that has left.
func (b *breaker) report(ctx context.Context, now time.Time, r *reply, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil && !outage(r.status):
		b.failures, b.last = 0, nil
		return
	case err != nil && ctx.Err() != nil:
		return
	case err == nil:
		err = &refusedError{status: r.status}
	}
	b.failures++
	b.last, b.until = err, now.Add(breakFor)
}

// outage tells whether an answer is about the server or this service, and not
// about a token.
func outage(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}
