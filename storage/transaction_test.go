package storage

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/ory/fosite"
)

// soon bounds what must not block for ever.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

func TestTransactionInsideATransactionIsRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.store(t)
		inner, err := store.BeginTX(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.BeginTX(inner); err == nil {
			t.Error("a second transaction was opened inside the first")
		}
		if err := store.Rollback(inner); err != nil {
			t.Error(err)
		}
	})
}

func TestForgottenTransactionIsRolledBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := soon(t), e.storeWithClients(t)
		inner, err := store.BeginTX(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.CreateAccessTokenSession(inner, "forgotten", newTestRequest("machine")); err != nil {
			t.Fatal(err)
		}
		forgotten := transactionFrom(inner)
		forgotten.timer.Reset(0) // transactionLimit has passed
		eventually(t, "the transaction has ended", func() bool {
			forgotten.mu.Lock()
			defer forgotten.mu.Unlock()
			return forgotten.ended
		})
		if err := store.CreateAccessTokenSession(ctx, "next", newTestRequest("machine")); err != nil {
			t.Fatalf("a write after the forgotten transaction: %v", err)
		}
		if store.Commit(inner) == nil {
			t.Error("a transaction was committed after its time")
		}
		wantAccess(t, store, "forgotten", false)
		wantAccess(t, store, "next", true)
	})
}

func TestWaitingForATransactionEndsWithTheContext(t *testing.T) {
	store := testEngine{"sqlite", newSQLiteFile}.store(t)
	inner, err := store.BeginTX(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := store.BeginTX(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want that the context was cancelled", err)
	}
	if err := store.Rollback(inner); err != nil {
		t.Fatal(err)
	}
	if inner, err = store.BeginTX(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := store.Rollback(inner); err != nil {
		t.Fatal(err)
	}
}

func TestInTransaction(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store, failure := soon(t), e.storeWithClients(t), errors.New("failure")
		create := func(ctx context.Context, signature string) error {
			return store.CreateAccessTokenSession(ctx, signature, newTestRequest("machine"))
		}

		if err := store.InTransaction(ctx, func(ctx context.Context) error {
			return errors.Join(create(ctx, "a"), store.InTransaction(ctx, func(ctx context.Context) error { return create(ctx, "b") }))
		}); err != nil {
			t.Fatal(err)
		}
		wantAccess(t, store, "a", true)
		wantAccess(t, store, "b", true)

		if err := store.InTransaction(ctx, func(ctx context.Context) error {
			return errors.Join(create(ctx, "c"), failure)
		}); !errors.Is(err, failure) {
			t.Errorf("error = %v, want that of the function", err)
		}
		wantAccess(t, store, "c", false)

		func() {
			defer func() { _ = recover() }()
			_ = store.InTransaction(ctx, func(ctx context.Context) error {
				_ = create(ctx, "d")
				panic("in the middle")
			})
		}()
		wantAccess(t, store, "d", false)
		if err := create(ctx, "e"); err != nil {
			t.Fatalf("a write after the panic: %v", err)
		}
	})
}

func TestOneConnectionIsEnough(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		db := openPool(t, e.dialector(t)())
		pool, err := db.DB()
		if err != nil {
			t.Fatal(err)
		}
		pool.SetMaxOpenConns(1)
		ctx, store := soon(t), New(db)
		if err := store.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		if err := store.CreateClient(ctx, &Client{ID: "machine"}); err != nil {
			t.Fatal(err)
		}
		for _, signature := range []string{"first", "second"} { // uncompiled, compiled
			if err := store.InTransaction(ctx, func(ctx context.Context) error {
				return store.CreateAccessTokenSession(ctx, signature, newTestRequest("machine"))
			}); err != nil {
				t.Fatal(err)
			}
			wantAccess(t, store, signature, true)
		}
	})
}

func TestStatementsRunAtReadCommittedWhateverTheServersDefault(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		if !store.db.postgres {
			return
		}
		store.db.pool.SetMaxOpenConns(1)
		ctx := soon(t)
		if _, err := store.db.pool.ExecContext(ctx, "SET default_transaction_isolation = 'serializable'"); err != nil {
			t.Fatal(err)
		}
		inner, err := store.BeginTX(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var level string
		if err := store.read(inner).QueryRowContext(inner, "SHOW transaction_isolation").Scan(&level); err != nil {
			t.Fatal(err)
		}
		if level != "read committed" {
			t.Errorf("isolation = %q", level)
		}
		if err := store.Rollback(inner); err != nil {
			t.Fatal(err)
		}
	})
}

// wantAccess checks whether the access token with this signature counts.
func wantAccess(t *testing.T, store *Store, signature string, want bool) {
	t.Helper()
	_, err := store.GetAccessTokenSession(context.Background(), signature, nil)
	if err != nil && !errors.Is(err, fosite.ErrNotFound) {
		t.Fatal(err)
	}
	if got := err == nil; got != want {
		t.Errorf("access token %q: active = %v, want %v", signature, got, want)
	}
}
