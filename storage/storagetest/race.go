package storagetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/rfc7523"
)

// contenders is how many use one code, token or assertion at the same time.
const contenders = 16

var raceCases = []testCase{
	{"a code is redeemed once, however many try", oneRedemption},
	{"a refresh token is rotated once, however many try", oneRotation},
	{"a client's assertion is used once, however many try", func(t *testing.T, store Storage) {
		oneMark(t, func(ctx context.Context, jti string) error {
			return store.SetClientAssertionJWT(ctx, jti, time.Now().Add(time.Hour))
		})
	}},
	{"an assertion of a grant is used once, however many try", func(t *testing.T, store Storage) {
		if keys, ok := store.(rfc7523.RFC7523KeyStorage); ok {
			oneMark(t, func(ctx context.Context, jti string) error {
				return keys.MarkJWTUsedForTime(ctx, jti, time.Now().Add(time.Hour))
			})
		}
	}},
	{"a revocation that races refreshes leaves no active token", func(t *testing.T, store Storage) { revocationBeatsRefreshes(t, store, 150) }},
}

// together runs fn n times at once.
func together(n int, fn func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			fn(i)
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// lost are the answers that fosite can tell a client as "too late". Anything else would be a server error.
var lost = []error{fosite.ErrInvalidatedAuthorizeCode, fosite.ErrInactiveToken, fosite.ErrNotFound, fosite.ErrJTIKnown, fosite.ErrSerializationFailure}

// wantOneWinner checks the outcomes of a race and returns who won.
func wantOneWinner(t *testing.T, round int, errs []error) (winner int) {
	t.Helper()
	winners := 0
	for i, err := range errs {
		if err == nil {
			winner = i
			winners++
			continue
		}
		wantError(t, "a loser", err, lost...)
	}
	if winners != 1 {
		t.Fatalf("round %d: %d of %d succeeded, want exactly one", round, winners, len(errs))
	}
	return winner
}

func pairErrors(pairs []pair) []error {
	errs := make([]error, len(pairs))
	for i, p := range pairs {
		errs[i] = p.err
	}
	return errs
}

func oneRedemption(t *testing.T, store Storage) {
	ctx := context.Background()
	for round := range rounds(80) {
		request, code := newRequest(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, code, request))
		pairs := make([]pair, contenders)
		together(contenders, func(i int) {
			pairs[i] = pair{access: newSignature(), refresh: newSignature()}
			pairs[i].err = inTransaction(ctx, store, func(ctx context.Context) error {
				if err := store.InvalidateAuthorizeCodeSession(ctx, code); err != nil {
					return err
				}
				return storePair(ctx, store, request, pairs[i])
			})
		})
		wantOnlyWinnersTokens(t, store, pairs, wantOneWinner(t, round, pairErrors(pairs)))
	}
}

func oneRotation(t *testing.T, store Storage) {
	ctx := context.Background()
	for round := range rounds(80) {
		request, old := newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		pairs := make([]pair, contenders)
		together(contenders, func(i int) { pairs[i] = refreshWith(ctx, store, request, old) })
		wantOnlyWinnersTokens(t, store, pairs, wantOneWinner(t, round, pairErrors(pairs)))
	}
}

func wantOnlyWinnersTokens(t *testing.T, store Storage, pairs []pair, winner int) {
	t.Helper()
	for _, i := range []int{winner, (winner + 1) % len(pairs)} { // one of the losers stands for all
		wantActive(t, "access token", activeAccess(t, store, pairs[i].access), i == winner)
		wantActive(t, "refresh token", activeRefresh(t, store, pairs[i].refresh), i == winner)
	}
}

func oneMark(t *testing.T, mark func(ctx context.Context, jti string) error) {
	t.Helper()
	for round := range rounds(80) {
		jti, errs := newSignature(), make([]error, contenders)
		together(contenders, func(i int) { errs[i] = mark(context.Background(), jti) })
		wantOneWinner(t, round, errs)
	}
}

// revocationBeatsRefreshes runs some refreshes, each followed by another with its successor, against a revocation.
func revocationBeatsRefreshes(t *testing.T, store Storage, times int) {
	const refreshers = 3
	ctx := context.Background()
	for round := range rounds(times) {
		request, first := newRequest(), pair{access: newSignature(), refresh: newSignature()}
		must(t, storePair(ctx, store, request, first))
		pairs := make([]pair, 2*refreshers)
		var revokeErr error
		together(refreshers+1, func(i int) {
			if i == refreshers {
				revokeErr = revokeRequest(ctx, store, request.ID)
				return
			}
			pairs[2*i] = refreshWith(ctx, store, request, first.refresh)
			pairs[2*i+1] = refreshWith(ctx, store, request, pairs[2*i].refresh)
		})
		must(t, revokeErr)
		for _, p := range append(pairs, first) {
			if p.err != nil {
				wantError(t, "a refresh", p.err, lost...)
			}
			if activeRefresh(t, store, p.refresh) || activeAccess(t, store, p.access) {
				t.Fatalf("round %d: a token is active after the revocation", round)
			}
		}
	}
}
