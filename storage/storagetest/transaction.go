package storagetest

import (
	"context"
	"testing"
	"time"

	"github.com/ory/fosite"
	fositestorage "github.com/ory/fosite/storage"
)

var transactionCases = []testCase{
	{"a commit makes everything visible at once", func(t *testing.T, store Storage) {
		inner, request, p := openWithPair(t, context.Background(), store)
		wantActive(t, "outside, before the commit", visible(t, store, p.access), false)
		got, err := store.GetAccessTokenSession(inner, p.access, emptySession())
		wantRequest(t, "inside, before the commit", got, err, request)
		must(t, transactional(store).Commit(inner))
		wantActive(t, "access token", activeAccess(t, store, p.access), true)
		wantActive(t, "refresh token", activeRefresh(t, store, p.refresh), true)
	}},
	{"a rollback undoes everything", func(t *testing.T, store Storage) {
		ctx, code := context.Background(), newSignature()
		must(t, store.CreateAuthorizeCodeSession(ctx, code, newRequest()))
		inner, _, p := openWithPair(t, ctx, store)
		must(t, store.InvalidateAuthorizeCodeSession(inner, code))
		must(t, transactional(store).Rollback(inner))
		wantActive(t, "access token", activeAccess(t, store, p.access), false)
		wantActive(t, "refresh token", activeRefresh(t, store, p.refresh), false)
		must(t, store.InvalidateAuthorizeCodeSession(ctx, code)) // not used up after all
	}},
	{"a rollback after the end is tolerated", func(t *testing.T, store Storage) {
		inner, _, p := openWithPair(t, context.Background(), store)
		must(t, transactional(store).Commit(inner))
		must(t, transactional(store).Rollback(inner)) // fosite does so after a commit that failed
		wantActive(t, "access token", activeAccess(t, store, p.access), true)

		inner, _, _ = openWithPair(t, context.Background(), store)
		must(t, transactional(store).Rollback(inner))
		must(t, transactional(store).Rollback(inner))
	}},
	{"a statement after the end fails", func(t *testing.T, store Storage) {
		inner, _, _ := openWithPair(t, context.Background(), store)
		must(t, transactional(store).Commit(inner))
		if store.CreateAccessTokenSession(inner, newSignature(), newRequest()) == nil {
			t.Error("a token was stored in a transaction that had ended")
		}
		if transactional(store).Commit(inner) == nil {
			t.Error("a transaction was committed twice")
		}
	}},
	{"a cancelled context rolls back and lets others write", func(t *testing.T, store Storage) {
		ctx, cancel := context.WithCancel(context.Background())
		inner, _, p := openWithPair(t, ctx, store)
		cancel()
		later, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		must(t, store.CreateAccessTokenSession(later, newSignature(), newRequest()))
		if transactional(store).Commit(inner) == nil {
			t.Error("a transaction was committed after its context had ended")
		}
		must(t, transactional(store).Rollback(inner))
		wantActive(t, "access token", activeAccess(t, store, p.access), false)
	}},
	{"an error inside leaves the store usable", func(t *testing.T, store Storage) {
		ctx := context.Background()
		inner, request, p := openWithPair(t, ctx, store)
		if store.CreateAccessTokenSession(inner, p.access, request) == nil {
			t.Error("a second token was stored under the same signature")
		}
		must(t, transactional(store).Rollback(inner))
		must(t, store.CreateAccessTokenSession(ctx, p.access, request))
		wantActive(t, "access token", activeAccess(t, store, p.access), true)
	}},
	{"commit and rollback without a transaction fail", func(t *testing.T, store Storage) {
		if transactional(store).Commit(context.Background()) == nil || transactional(store).Rollback(context.Background()) == nil {
			t.Error("a transaction that was never opened was ended")
		}
	}},
}

func transactional(store Storage) fositestorage.Transactional {
	return store.(fositestorage.Transactional)
}

// openWithPair opens a transaction and stores a pair of tokens in it.
func openWithPair(t *testing.T, ctx context.Context, store Storage) (context.Context, *fosite.Request, pair) {
	t.Helper()
	request, p := newRequest(), pair{access: newSignature(), refresh: newSignature()}
	inner, err := transactional(store).BeginTX(ctx)
	must(t, err)
	must(t, storePair(inner, store, request, p))
	return inner, request, p
}

// visible is activeAccess while a transaction is open: a store whose readers wait for its writers sees nothing yet.
func visible(t *testing.T, store Storage, signature string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := store.GetAccessTokenSession(ctx, signature, emptySession())
	return err == nil
}
