package storage

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"

	"fosite-mcp/provider/client"
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

// A transaction inside a transaction is a savepoint: what it does can be undone by itself, and is undone with the rest.
func TestTransactionInsideATransaction(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := soon(t), e.storeWithClients(t)
		begin := func(ctx context.Context) context.Context {
			t.Helper()
			inner, err := store.BeginTX(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return inner
		}
		create := func(ctx context.Context, signature string) {
			t.Helper()
			if err := store.CreateAccessTokenSession(ctx, signature, newTestRequest("machine")); err != nil {
				t.Fatal(err)
			}
			if err := store.Audit().Append(ctx, audit.Event{Action: signature}); err != nil {
				t.Fatal(err)
			}
		}
		end := func(how func(context.Context) error, ctx context.Context) {
			t.Helper()
			if err := how(ctx); err != nil {
				t.Fatal(err)
			}
		}
		outer := begin(ctx)
		create(outer, "outer")
		kept, undone := begin(outer), context.Context(nil)
		create(kept, "kept")
		end(store.Commit, kept)
		undone = begin(outer)
		create(undone, "undone")
		end(store.Rollback, undone)
		end(store.Rollback, undone) // fosite does so again
		create(outer, "after")
		end(store.Commit, outer)
		for signature, want := range map[string]bool{"outer": true, "kept": true, "undone": false, "after": true} {
			wantAccess(t, store, signature, want)
		}
		wantChain(t, store, 3, 0)

		outer = begin(ctx)
		inner := begin(outer)
		create(inner, "inner")
		end(store.Commit, inner)
		end(store.Rollback, outer)
		wantAccess(t, store, "inner", false)
		wantChain(t, store, 3, 0)
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

		if err := store.Atomically(ctx, func(ctx context.Context) error {
			return errors.Join(create(ctx, "a"), store.Atomically(ctx, func(ctx context.Context) error { return create(ctx, "b") }))
		}); err != nil {
			t.Fatal(err)
		}
		wantAccess(t, store, "a", true)
		wantAccess(t, store, "b", true)

		if err := store.Atomically(ctx, func(ctx context.Context) error {
			return errors.Join(create(ctx, "c"), failure)
		}); !errors.Is(err, failure) {
			t.Errorf("error = %v, want that of the function", err)
		}
		wantAccess(t, store, "c", false)

		func() {
			defer func() { _ = recover() }()
			_ = store.Atomically(ctx, func(ctx context.Context) error {
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
		if err := store.Clients().Create(ctx, &client.Client{ID: "machine"}); err != nil {
			t.Fatal(err)
		}
		for _, signature := range []string{"first", "second"} { // uncompiled, compiled
			if err := store.Atomically(ctx, func(ctx context.Context) error {
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
		if !store.db.Postgres {
			return
		}
		poolOf(t, store).SetMaxOpenConns(1)
		ctx := soon(t)
		if _, err := poolOf(t, store).ExecContext(ctx, "SET default_transaction_isolation = 'serializable'"); err != nil {
			t.Fatal(err)
		}
		inner, err := store.BeginTX(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var level string
		if err := store.db.Read(inner).QueryRow("SHOW transaction_isolation").Scan(&level); err != nil {
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
