package storage

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
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

// failing answers with a SQLSTATE, as the PostgreSQL driver does.
func failing(code string) error { return &pgconn.PgError{Code: code} }

func TestConflictsAreRetriedWithABound(t *testing.T) {
	for _, c := range []struct {
		name string
		errs []error // one per attempt; the last one goes on
		runs int
		want error
	}{
		{"success", []error{nil}, 1, nil},
		{"a serialization failure, then success", []error{failing("40001"), nil}, 2, nil},
		{"a deadlock, then success", []error{failing("40P01"), failing("40P01"), nil}, 3, nil},
		{"never ending", []error{failing("40001")}, conflictRetries + 1, failing("40001")},
		{"another failure", []error{failing("23505")}, 1, failing("23505")},
		{"a lost connection", []error{sql.ErrConnDone}, 1, sql.ErrConnDone},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 0
			err := retryConflicts(context.Background(), func() error {
				runs++
				return c.errs[min(runs, len(c.errs))-1]
			})
			if runs != c.runs || (err == nil) != (c.want == nil) || err != nil && err.Error() != c.want.Error() {
				t.Errorf("%d runs and error %v, want %d and %v", runs, err, c.runs, c.want)
			}
		})
	}
}

func TestRetryingConflictsEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	runs := 0
	err := retryConflicts(ctx, func() error { runs++; cancel(); return failing("40001") })
	if runs != 1 || !errors.Is(err, context.Canceled) || !isConflict(err) {
		t.Errorf("%d runs and error %v, want one and both reasons", runs, err)
	}
}

// TestDeadlocksAndSerializationFailuresAreRetried makes real ones. SQLite knows neither: its writers take turns.
func TestDeadlocksAndSerializationFailuresAreRetried(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.store(t)
		if _, ok := store.writer.(*directWriter); !ok {
			return
		}
		for name, c := range map[string]struct{ isolation, first, second string }{
			"deadlock":              {"READ COMMITTED", "a", "b"},
			"serialization failure": {"REPEATABLE READ", "c", "c"},
		} {
			t.Run(name, func(t *testing.T) { provokeConflict(t, store, c.isolation, c.first, c.second) })
		}
	})
}

// provokeConflict runs two transactions that change the rows first and second, one of them in opposite order, and
// lets them meet in the middle of their first attempts.
func provokeConflict(t *testing.T, store *Store, isolation, first, second string) {
	ctx := soon(t)
	for _, name := range []string{first, second} {
		if _, err := store.SettingOnce(ctx, name, "0"); err != nil {
			t.Fatal(err)
		}
	}
	var meeting, done sync.WaitGroup
	meeting.Add(2)
	attempts, errs := make([]int, 2), make([]error, 2)
	for i, order := range [][]string{{first, second}, {second, first}} {
		done.Go(func() {
			errs[i] = store.writer.write(ctx, func(ctx context.Context, q queryer) error {
				attempts[i]++
				if _, err := q.ExecContext(ctx, "SET TRANSACTION ISOLATION LEVEL "+isolation); err != nil {
					return err
				}
				touch := func(name string) error {
					_, err := q.ExecContext(ctx, `UPDATE settings SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = ?`, name)
					return err
				}
				if first == second { // both must look before either changes anything
					var value string
					if err := q.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = ?`, first).Scan(&value); err != nil {
						return err
					}
				} else if err := touch(order[0]); err != nil {
					return err
				}
				if attempts[i] == 1 {
					meeting.Done()
					meeting.Wait()
				}
				return touch(order[1])
			})
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if attempts[0]+attempts[1] != 3 {
		t.Errorf("attempts = %v, want one transaction to run twice", attempts)
	}
	want := "2"
	if value, _, err := store.Setting(ctx, second); err != nil || value != want {
		t.Errorf("value = %q (error %v), want %q", value, err, want)
	}
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
