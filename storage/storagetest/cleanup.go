package storagetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
)

// Clock is a clock that is moved by hand. It is safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now is what a store should use in place of time.Now.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *Clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// RunCleanUp tests, beside Run, how a store removes what has expired. cleanUp removes it all; the store must honour
// Setup.Now.
func RunCleanUp(t *testing.T, newStore NewStore, cleanUp func(ctx context.Context, store Storage) error) {
	t.Run("CleanUp", func(t *testing.T) {
		clock, setup := &Clock{at: time.Now().UTC().Truncate(time.Second)}, standardSetup()
		setup.Now = clock.Now
		store := newStore(t, setup)
		for _, c := range []struct {
			rule string
			test func(t *testing.T, store Storage, clock *Clock, clean func())
		}{
			{"what lives stays, and so does what has no end", cleanUpKeepsTheLiving},
			{"reuse is noticed for as long as the token or code would have lived", cleanUpKeepsTheUsed},
			{"what has expired is gone", cleanUpRemovesTheExpired},
			{"a revoked token never comes back", cleanUpKeepsRevocations},
			{"writers go on meanwhile", cleanUpBesideWriters},
		} {
			t.Run(c.rule, func(t *testing.T) { // one after the other: they share a clock
				c.test(t, store, clock, func() {
					t.Helper()
					if err := cleanUp(context.Background(), store); err != nil {
						t.Error(err)
					}
				})
			})
		}
	})
}

// newRequestUntil is a request whose access token, refresh token and code end after the given times; zero: never.
func newRequestUntil(clock *Clock, access, refresh, code time.Duration) *fosite.Request {
	request := newRequest()
	session := &fosite.DefaultSession{Subject: "ada"}
	for kind, lifespan := range map[fosite.TokenType]time.Duration{
		fosite.AccessToken: access, fosite.RefreshToken: refresh, fosite.AuthorizeCode: code,
	} {
		if lifespan > 0 {
			session.SetExpiresAt(kind, clock.Now().Add(lifespan))
		}
	}
	request.Session, request.RequestedAt = session, clock.Now()
	return request
}

// storeAll stores a code, its PKCE half and a pair of tokens, and returns their signatures.
func storeAll(t *testing.T, store Storage, request *fosite.Request) (code string, p pair) {
	t.Helper()
	ctx := context.Background()
	code, p = newSignature(), pair{access: newSignature(), refresh: newSignature()}
	must(t, store.CreateAuthorizeCodeSession(ctx, code, request))
	must(t, store.CreatePKCERequestSession(ctx, code, request))
	must(t, storePair(ctx, store, request, p))
	return code, p
}

func cleanUpKeepsTheLiving(t *testing.T, store Storage, clock *Clock, clean func()) {
	_, mortal := storeAll(t, store, newRequestUntil(clock, 48*time.Hour, 48*time.Hour, 10*time.Minute))
	_, immortal := storeAll(t, store, newRequestUntil(clock, 0, 0, 10*time.Minute))
	clock.forward(47 * time.Hour)
	clean()
	for name, p := range map[string]pair{"with an end": mortal, "without an end": immortal} {
		wantActive(t, "an access token "+name, activeAccess(t, store, p.access), true)
		wantActive(t, "a refresh token "+name, activeRefresh(t, store, p.refresh), true)
	}
}

func cleanUpKeepsTheUsed(t *testing.T, store Storage, clock *Clock, clean func()) {
	ctx, request := context.Background(), newRequestUntil(clock, time.Hour, 48*time.Hour, 48*time.Hour)
	code, p := storeAll(t, store, request)
	must(t, store.InvalidateAuthorizeCodeSession(ctx, code))
	must(t, store.RotateRefreshToken(ctx, request.ID, p.refresh))
	clock.forward(47 * time.Hour)
	clean()
	got, err := store.GetAuthorizeCodeSession(ctx, code, nil)
	wantError(t, "the used code", err, fosite.ErrInvalidatedAuthorizeCode)
	wantSameRequest(t, "the used code", got, request)
	got, err = store.GetRefreshTokenSession(ctx, p.refresh, nil)
	wantError(t, "the rotated refresh token", err, fosite.ErrInactiveToken)
	wantSameRequest(t, "the rotated refresh token", got, request)
	// Were the challenge gone before the code, fosite would do without a verifier.
	_, err = store.GetPKCERequestSession(ctx, code, nil)
	must(t, err)
}

func cleanUpRemovesTheExpired(t *testing.T, store Storage, clock *Clock, clean func()) {
	ctx := context.Background()
	code, p := storeAll(t, store, newRequestUntil(clock, time.Hour, time.Hour, time.Hour))
	clock.forward(30 * 24 * time.Hour)
	clean()
	_, err := store.GetAuthorizeCodeSession(ctx, code, nil)
	wantError(t, "code", err, fosite.ErrNotFound)
	_, err = store.GetPKCERequestSession(ctx, code, nil)
	wantError(t, "PKCE half", err, fosite.ErrNotFound)
	_, err = store.GetAccessTokenSession(ctx, p.access, nil)
	wantError(t, "access token", err, fosite.ErrNotFound)
	_, err = store.GetRefreshTokenSession(ctx, p.refresh, nil)
	wantError(t, "refresh token", err, fosite.ErrNotFound)
}

// cleanUpKeepsRevocations is about tokens that outlive what their revocation was noted on.
func cleanUpKeepsRevocations(t *testing.T, store Storage, clock *Clock, clean func()) {
	ctx, day := context.Background(), 24*time.Hour
	for _, lifespans := range [][3]time.Duration{ // of access token, refresh token, code
		{14 * day, day, time.Hour}, {day, 14 * day, time.Hour}, {14 * day, 2 * day, 5 * day}, {0, day, time.Hour}, {day, 0, time.Hour},
	} {
		request := newRequestUntil(clock, lifespans[0], lifespans[1], lifespans[2])
		_, p := storeAll(t, store, request)
		must(t, revokeRequest(ctx, store, request.ID))
		for range 15 {
			wantActive(t, "access token", activeAccess(t, store, p.access), false)
			wantActive(t, "refresh token", activeRefresh(t, store, p.refresh), false)
			clock.forward(day)
			clean()
		}
	}
}

func cleanUpBesideWriters(t *testing.T, store Storage, clock *Clock, clean func()) {
	for range 100 {
		storeAll(t, store, newRequestUntil(clock, time.Hour, time.Hour, time.Hour))
	}
	clock.forward(30 * 24 * time.Hour)
	pairs := make([]pair, contenders)
	together(contenders+1, func(i int) {
		if i == contenders {
			clean()
			return
		}
		request := newRequestUntil(clock, time.Hour, time.Hour, time.Hour)
		pairs[i] = pair{access: newSignature(), refresh: newSignature()}
		pairs[i].err = storePair(context.Background(), store, request, pairs[i])
	})
	for _, p := range pairs {
		if p.err != nil {
			t.Errorf("a writer: %v", p.err)
			continue
		}
		wantActive(t, "access token", activeAccess(t, store, p.access), true)
		wantActive(t, "refresh token", activeRefresh(t, store, p.refresh), true)
	}
}
