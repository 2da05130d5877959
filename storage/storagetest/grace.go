package storagetest

import (
	"context"
	"errors"
	"testing"

	"github.com/ory/fosite"
)

// What a store may choose: how many uses of one refresh token it answers within the grace.
const (
	graceAtLeast = 3  // programs that share a token
	graceAtMost  = 20 // nobody honest
)

// graceEnded are the answers to a use that the grace does not cover.
var graceEnded = []error{fosite.ErrInactiveToken, fosite.ErrNotFound}

// rotatedSuccessorEndsTheGrace: whoever rotated the successor has received it, so the old token is no longer needed.
func rotatedSuccessorEndsTheGrace(t *testing.T, store Storage) {
	ctx, request, old := context.Background(), newRequest(), newSignature()
	must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
	first, second := refreshWith(ctx, store, request, old), refreshWith(ctx, store, request, old)
	must(t, errors.Join(first.err, second.err))
	next := refreshWith(ctx, store, request, second.refresh)
	must(t, next.err)

	got, err := store.GetRefreshTokenSession(ctx, old, emptySession())
	wantError(t, "get", err, fosite.ErrInactiveToken)
	wantSameRequest(t, "get", got, request)
	wantError(t, "rotate", refreshWith(ctx, store, request, old).err, fosite.ErrInactiveToken)

	// The other programs that share the token go on, and so does the rotated successor's own grace.
	must(t, refreshWith(ctx, store, request, first.refresh).err)
	must(t, refreshWith(ctx, store, request, second.refresh).err)
	must(t, refreshWith(ctx, store, request, next.refresh).err)
	wantError(t, "rotate the successor", refreshWith(ctx, store, request, second.refresh).err, fosite.ErrInactiveToken)
}

func graceIsBounded(t *testing.T, store Storage) {
	ctx, request, old := context.Background(), newRequest(), newSignature()
	must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
	answered := 0
	for range 2 * graceAtMost {
		p := refreshWith(ctx, store, request, old)
		if p.err == nil {
			answered++
			continue
		}
		wantError(t, "a use too many", p.err, graceEnded...)
		_, err := store.GetRefreshTokenSession(ctx, old, emptySession())
		wantError(t, "get after it", err, graceEnded...)
	}
	if answered < graceAtLeast || answered > graceAtMost {
		t.Errorf("%d uses of one refresh token were answered, want %d to %d", answered, graceAtLeast, graceAtMost)
	}
}

// graceKeepsTheFamily lets clients that refresh concurrently go on, under the request id that a revocation ends.
func graceKeepsTheFamily(t *testing.T, store Storage) {
	ctx := context.Background()
	for round := range rounds(30) {
		request, old := newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		pairs := make([]pair, graceAtMost+contenders)
		together(graceAtLeast, func(i int) { pairs[i] = refreshWith(ctx, store, request, old) })
		must(t, errors.Join(pairErrors(pairs[:graceAtLeast])...))
		together(len(pairs)-graceAtLeast, func(i int) { pairs[graceAtLeast+i] = refreshWith(ctx, store, request, old) })
		var won []pair
		for _, p := range pairs {
			if p.err == nil {
				won = append(won, p)
			} else {
				wantError(t, "a use too many", p.err, graceEnded...)
			}
		}
		if len(won) > graceAtMost {
			t.Fatalf("round %d: %d uses of one refresh token were answered, want at most %d", round, len(won), graceAtMost)
		}
		for _, p := range won {
			got, err := store.GetRefreshTokenSession(ctx, p.refresh, emptySession())
			wantRequest(t, "a successor", got, err, request)
		}
		must(t, revokeRequest(ctx, store, request.ID))
		for _, p := range won {
			wantActive(t, "refresh token after the revocation", activeRefresh(t, store, p.refresh), false)
			wantActive(t, "access token after the revocation", activeAccess(t, store, p.access), false)
		}
	}
}

// graceRacesASuccessor: however the uses of the old token and of its successor fall, the old one is over afterwards.
func graceRacesASuccessor(t *testing.T, store Storage) {
	ctx := context.Background()
	for round := range rounds(50) {
		request, old := newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		successor := refreshWith(ctx, store, request, old)
		must(t, successor.err)
		pairs, late := make([]pair, 4), make([]pair, 4)
		together(len(pairs), func(i int) {
			if i > 0 {
				pairs[i] = refreshWith(ctx, store, request, old)
				return
			}
			pairs[0] = refreshWith(ctx, store, request, successor.refresh)
			for i := range late { // others may still be at it
				late[i] = refreshWith(ctx, store, request, old)
			}
		})
		must(t, pairs[0].err)
		for _, p := range pairs[1:] {
			if p.err != nil {
				wantError(t, "a use of the old token", p.err, graceEnded...)
			}
		}
		for _, p := range late {
			if p.err == nil {
				t.Fatalf("round %d: the old token works after its successor was rotated", round)
			}
			wantError(t, "a use after the successor's", p.err, fosite.ErrInactiveToken)
		}
	}
}
