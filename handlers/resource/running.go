package resource

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	// verifyAgain is how long a request runs until its token is verified again.
	verifyAgain = defaultBound
	// verifyLate is the same for a token whose exp has passed by the clock of
	// this machine, and not by that of the verifier.
	verifyLate = time.Second
)

// runningRequest is the context of a request that was let through. It ends when
// the token does. The watch starts when somebody first asks for Done or Err, so
// that quick requests cost neither a timer nor an allocation.
type runningRequest struct {
	context.Context // of the request before
	gate            *gate
	authorization   string
	calls           []string // tools
	token           *Token

	mu    sync.Mutex
	over  bool   // the handler has returned
	watch *watch // nil: nobody has asked
}

// watch ends a context when a token is no longer active.
type watch struct {
	context.Context
	end     context.CancelCauseFunc
	timer   *time.Timer
	expires time.Time // zero: not known
}

// Done implements [context.Context].
func (r *runningRequest) Done() <-chan struct{} { return r.watched().Done() }

// Err implements [context.Context].
func (r *runningRequest) Err() error { return r.watched().Err() }

// Value implements [context.Context]. The token is there while the request runs:
// what goes on after it, such as a session, must not use its rights.
func (r *runningRequest) Value(key any) any {
	r.mu.Lock()
	over, watch := r.over, r.watch
	r.mu.Unlock()
	if _, wanted := key.(tokenKey); wanted {
		if over {
			return (*Token)(nil)
		}
		return r.token
	}
	if watch != nil {
		return watch.Value(key)
	}
	return r.Context.Value(key)
}

// String keeps package fmt from printing the token.
func (r *runningRequest) String() string { return "resource.runningRequest" }

// watched starts the watch unless it has started.
func (r *runningRequest) watched() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.watch != nil:
		return r.watch
	case r.over:
		return r.Context
	}
	w := &watch{expires: r.token.ExpiresAt}
	w.Context, w.end = context.WithCancelCause(r.Context)
	w.timer = time.AfterFunc(w.pause(time.Now()), func() { r.verifyAgain(w) })
	r.watch = w
	return w
}

// finish ends what the watch has begun. The handler has returned.
func (r *runningRequest) finish() {
	r.mu.Lock()
	r.over = true
	watch := r.watch
	r.mu.Unlock()
	if watch != nil {
		watch.timer.Stop()
		watch.end(nil)
	}
}

// verifyAgain ends the context unless a new request with the token would be let
// through. In an outage the request goes on until the token expires.
func (r *runningRequest) verifyAgain(w *watch) {
	limited, cancel := context.WithTimeout(w, verifyAgain)
	token, refused := r.gate.decide(limited, []string{r.authorization})
	cancel()
	if refused == nil {
		refused = r.gate.allow(token, r.calls)
	}
	now := time.Now()
	switch {
	case w.Err() != nil:
		return // the request is over
	case refused == nil:
		w.expires = token.ExpiresAt
	case refused.status != http.StatusServiceUnavailable:
		r.end(w, "it no longer lets this request through")
		return
	case !w.expires.IsZero() && !now.Before(w.expires):
		r.end(w, "it has expired, and the authorization server did not answer")
		return
	}
	w.timer.Reset(w.pause(now))
}

func (r *runningRequest) end(w *watch, why string) {
	r.gate.log().Log(w, slog.LevelDebug, "a request was ended with its access token", "token_id", r.token.ID, "reason", why)
	w.end(fmt.Errorf("%w: %s", ErrInactive, why))
}

// pause is the time to the next look at the token.
func (w *watch) pause(now time.Time) time.Duration {
	left := w.expires.Sub(now)
	switch {
	case w.expires.IsZero() || left > verifyAgain:
		return verifyAgain
	case left > 0:
		return left
	}
	return verifyLate
}
