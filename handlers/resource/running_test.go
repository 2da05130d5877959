package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// aging is a Verifier whose answers change with time.
type aging struct {
	answer func(age time.Duration) (*Token, error)
	born   time.Time
	mu     sync.Mutex
	asked  int
}

func (*aging) Resource() string { return here }

func (v *aging) Verify(context.Context, string) (*Token, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.answer(time.Since(v.born))
}

func (v *aging) times() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

// while runs a request.
func while(answer func(time.Duration) (*Token, error), tools ToolScopes, body io.Reader, handler http.HandlerFunc) (v *aging, status int) {
	v = &aging{answer: answer, born: time.Now()}
	r := httptest.NewRequest(http.MethodPost, here, body)
	r.Header.Set("Authorization", "Bearer sesame")
	w := httptest.NewRecorder()
	Bearer{Verifier: v, Scopes: []string{"mcp:search"}, Tools: tools, Logger: slog.New(slog.DiscardHandler)}.Wrap(handler).ServeHTTP(w, r)
	return v, w.Code
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	outage := errors.New("connection refused")
	for _, tc := range []struct {
		name         string
		expires      time.Duration
		change       time.Duration // when the answers become this one
		scope        string
		err          error
		least, most  time.Duration // how long the stream lasts
		verification int           // at most
	}{
		{"revoked at once", 0, time.Nanosecond, "", ErrInactive, 5 * time.Second, 5 * time.Second, 2},
		{"revoked later", 0, 12 * time.Second, "", ErrInactive, 12 * time.Second, 15 * time.Second, 4},
		{"expired", 7 * time.Second, 7 * time.Second, "", ErrInactive, 7 * time.Second, 7 * time.Second, 3},
		{"expired, by a clock that is late", 7 * time.Second, 17 * time.Second, "", ErrInactive, 17 * time.Second, 18 * time.Second, 14},
		{"its scope was taken away", 0, time.Second, "mcp:other", nil, 5 * time.Second, 5 * time.Second, 2},
		{"an outage", 0, time.Second, "", outage, time.Minute, time.Minute, 13},
		{"expired in an outage", 22 * time.Second, time.Second, "", outage, 22 * time.Second, 22 * time.Second, 6},
		{"nothing happens", time.Hour, time.Hour, "", nil, time.Minute, time.Minute, 13},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			answer := func(age time.Duration) (*Token, error) {
				token := &Token{Scope: []string{"mcp:search"}}
				if tc.expires > 0 {
					token.ExpiresAt = began.Add(tc.expires)
				}
				if age < tc.change {
					return token, nil
				}
				token.Scope = []string{tc.scope}
				return token, tc.err
			}
			v, _ := while(answer, nil, nil, func(_ http.ResponseWriter, r *http.Request) {
				child, cancel := context.WithTimeout(r.Context(), time.Minute)
				defer cancel()
				<-child.Done()
				if cause := context.Cause(child); tc.most < time.Minute && (!errors.Is(cause, ErrInactive) || !errors.Is(r.Context().Err(), context.Canceled)) {
					t.Errorf("%s: ended with %v: %v", tc.name, r.Context().Err(), cause)
				}
			})
			if took := time.Since(began); took < tc.least || took > tc.most {
				t.Errorf("%s: the stream lasts %s, want %s to %s", tc.name, took, tc.least, tc.most)
			}
			if asked := v.times(); asked > tc.verification {
				t.Errorf("%s: verified %d times, want at most %d", tc.name, asked, tc.verification)
			}
		})
	}
}

const callOfEdit = `{"method":"tools/call","params":{"name":"edit"}}`

// The scopes of the tools that a request has called count as long as it runs.
func TestACallEndsWithTheScopeOfItsTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		while(func(age time.Duration) (*Token, error) {
			if age > time.Second {
				return alive(age)
			}
			return &Token{Scope: []string{"mcp:search", "docs:edit"}}, nil
		}, editorial, strings.NewReader(callOfEdit), func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Minute):
			}
		})
		if took := time.Since(began); took != verifyAgain {
			t.Errorf("it runs for %s", took)
		}
	})
}

func alive(time.Duration) (*Token, error) {
	return &Token{ID: "t1", Scope: []string{"mcp:search"}}, nil
}

// A handler that asks now and then whether it should stop gets the answer too.
func TestAHandlerThatAsksIsToldThatTheTokenHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		revoked := func(age time.Duration) (*Token, error) {
			if age > time.Second {
				return nil, ErrInactive
			}
			return alive(age)
		}
		while(revoked, nil, nil, func(_ http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil && time.Since(began) < time.Minute {
				time.Sleep(time.Second)
			}
		})
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it runs for %s", took)
		}
	})
}

// A session that keeps the context of its first request has not got its token.
func TestNothingIsLeftOfARequestThatWasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, look := range map[string]func(context.Context){
			"a handler that is quick":   func(context.Context) {},
			"one that has begun a work": func(ctx context.Context) { ctx.Done() },
		} {
			var kept context.Context
			v, _ := while(alive, nil, nil, func(_ http.ResponseWriter, r *http.Request) {
				kept = context.WithoutCancel(r.Context())
				look(r.Context())
				if TokenFromContext(kept) == nil || fmt.Sprintf("%v %+v", r.Context(), kept) == "" || strings.Contains(fmt.Sprintf("%v %+v", r.Context(), kept), "sesame") {
					t.Errorf("%s: the context is %v, its token %v", name, r.Context(), TokenFromContext(kept))
				}
			})
			time.Sleep(time.Minute)
			if TokenFromContext(kept) != nil {
				t.Errorf("%s: the token is used after the request", name)
			}
			if asked := v.times(); asked != 1 {
				t.Errorf("%s: verified %d times, want once", name, asked)
			}
		}
	})
}

func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, leave := context.WithCancel(t.Context())
		r := request(http.MethodGet, here, "Authorization", "Bearer good").WithContext(gone)
		time.AfterFunc(time.Second, leave)
		RequireBearer(known)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if errors.Is(context.Cause(r.Context()), ErrInactive) {
				t.Error("the token is said to have ended")
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}

// slowly is a body of which each half takes a while.
func slowly(body string, pause time.Duration) io.Reader {
	half := func(text string) io.Reader {
		rest := strings.NewReader(text)
		return readerFunc(func(p []byte) (int, error) {
			if rest.Len() > 0 {
				time.Sleep(pause)
			}
			return rest.Read(p)
		})
	}
	return io.MultiReader(half(body[:len(body)/2]), half(body[len(body)/2:]))
}

// Who holds a message back does not call a tool with a token that was revoked meanwhile.
func TestATokenIsVerifiedAgainAfterASlowBody(t *testing.T) {
	for _, tc := range []struct {
		pause, revoked, reduced time.Duration
		asked, status           int
	}{
		{0, time.Nanosecond, time.Hour, 1, 200},
		{400 * time.Millisecond, time.Nanosecond, time.Hour, 1, 200},
		{600 * time.Millisecond, time.Hour, time.Hour, 2, 200},
		{600 * time.Millisecond, time.Second, time.Hour, 2, 401},
		{600 * time.Millisecond, time.Hour, time.Second, 2, 403},
	} {
		synctest.Test(t, func(t *testing.T) {
			v, status := while(func(age time.Duration) (*Token, error) {
				switch {
				case age >= tc.revoked:
					return nil, ErrInactive
				case age >= tc.reduced:
					return alive(age)
				}
				return &Token{Scope: []string{"mcp:search", "docs:edit"}}, nil
			}, editorial, slowly(callOfEdit, tc.pause), func(http.ResponseWriter, *http.Request) {})
			if asked := v.times(); asked != tc.asked || status != tc.status {
				t.Errorf("%+v: verified %d times, status %d", tc, asked, status)
			}
		})
	}
}
