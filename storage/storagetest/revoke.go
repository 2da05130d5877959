package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ory/fosite"
	fositestorage "github.com/ory/fosite/storage"
)

var revocationCases = []testCase{
	{"revoking access tokens covers every one of the request, and no other", func(t *testing.T, store Storage) {
		ctx, request, other := context.Background(), newRequest(), newRequest()
		var mine []string
		for range 3 {
			mine = append(mine, newSignature())
			must(t, store.CreateAccessTokenSession(ctx, mine[len(mine)-1], request))
		}
		theirs := newSignature()
		must(t, store.CreateAccessTokenSession(ctx, theirs, other))
		must(t, store.RevokeAccessToken(ctx, request.ID))
		for _, signature := range mine {
			wantActive(t, "a token of the request", activeAccess(t, store, signature), false)
		}
		wantActive(t, "a token of another request", activeAccess(t, store, theirs), true)
	}},
	{"revoking refresh tokens covers every one of the request, and no other", func(t *testing.T, store Storage) {
		ctx, request, other := context.Background(), newRequest(), newRequest()
		var mine []string
		for range 3 {
			mine = append(mine, newSignature())
			must(t, store.CreateRefreshTokenSession(ctx, mine[len(mine)-1], newSignature(), request))
		}
		theirs := newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, theirs, newSignature(), other))
		must(t, store.RevokeRefreshToken(ctx, request.ID))
		for _, signature := range mine {
			got, err := store.GetRefreshTokenSession(ctx, signature, nil)
			wantError(t, "a token of the request", err, fosite.ErrInactiveToken)
			wantSameRequest(t, "a token of the request", got, request)
		}
		wantActive(t, "a token of another request", activeRefresh(t, store, theirs), true)
	}},
	{"revoking twice, or what does not exist, is no failure", func(t *testing.T, store Storage) {
		ctx, request := context.Background(), newRequest()
		must(t, store.CreateRefreshTokenSession(ctx, newSignature(), newSignature(), request))
		for _, id := range []string{request.ID, request.ID, newRequest().ID} {
			for _, err := range []error{store.RevokeRefreshToken(ctx, id), store.RevokeAccessToken(ctx, id)} {
				if err != nil {
					wantError(t, "revoke", err, fosite.ErrNotFound)
				}
			}
		}
	}},
	{"a refresh token that is used after the revocation leads to nothing", func(t *testing.T, store Storage) {
		ctx, request, old := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		_, err := store.GetRefreshTokenSession(ctx, old, emptySession()) // fosite looks before it opens a transaction
		must(t, err)
		must(t, revokeRequest(ctx, store, request.ID))
		successor := refreshWith(ctx, store, request, old)
		wantActive(t, "refresh token", activeRefresh(t, store, successor.refresh), false)
		wantActive(t, "access token", activeAccess(t, store, successor.access), false)
	}},
	{"it wins over a refresh that is not yet committed", revocationMeetsOpenRefresh},
}

// pair is what a refresh has led to; err tells why it did not.
type pair struct {
	access, refresh string
	err             error
}

// refreshWith does what fosite's refresh handler does after it has looked at the token.
func refreshWith(ctx context.Context, store Storage, request *fosite.Request, old string) pair {
	p := pair{access: newSignature(), refresh: newSignature()}
	p.err = inTransaction(ctx, store, func(ctx context.Context) error {
		if err := store.RotateRefreshToken(ctx, request.ID, old); err != nil {
			return err
		}
		return storePair(ctx, store, request, p)
	})
	return p
}

func storePair(ctx context.Context, store Storage, request *fosite.Request, p pair) error {
	if err := store.CreateAccessTokenSession(ctx, p.access, request); err != nil {
		return err
	}
	return store.CreateRefreshTokenSession(ctx, p.refresh, p.access, request)
}

// inTransaction does what fosite does, with fosite's own helpers: nothing, for a store without transactions.
func inTransaction(ctx context.Context, store Storage, fn func(ctx context.Context) error) error {
	inner, err := fositestorage.MaybeBeginTx(ctx, store)
	if err != nil {
		return err
	}
	if err = fn(inner); err == nil {
		err = fositestorage.MaybeCommitTx(inner, store)
	}
	if err != nil {
		return errors.Join(err, fositestorage.MaybeRollbackTx(inner, store))
	}
	return nil
}

// revokeRequest does what fosite's revocation handler does.
func revokeRequest(ctx context.Context, store Storage, requestID string) error {
	for _, err := range []error{store.RevokeRefreshToken(ctx, requestID), store.RevokeAccessToken(ctx, requestID)} {
		if err != nil && !errors.Is(err, fosite.ErrNotFound) {
			return err
		}
	}
	return nil
}

func revocationMeetsOpenRefresh(t *testing.T, store Storage) {
	transactional, ok := store.(fositestorage.Transactional)
	if !ok {
		return
	}
	ctx, request, old := context.Background(), newRequest(), newSignature()
	successor := pair{access: newSignature(), refresh: newSignature()}
	must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
	inner, err := transactional.BeginTX(ctx)
	must(t, err)
	must(t, store.RotateRefreshToken(inner, request.ID, old))
	must(t, storePair(inner, store, request, successor))

	revoked := make(chan error, 1)
	go func() { revoked <- revokeRequest(ctx, store, request.ID) }()
	select { // either it waits for the transaction, or it is through before: both must end alike
	case err := <-revoked:
		revoked <- err
	case <-time.After(50 * time.Millisecond):
	}
	commitErr := transactional.Commit(inner)
	must(t, <-revoked)
	if commitErr != nil {
		must(t, transactional.Rollback(inner))
	}
	wantActive(t, "the new refresh token", activeRefresh(t, store, successor.refresh), false)
	wantActive(t, "the new access token", activeAccess(t, store, successor.access), false)
}
