package storage

import (
	"context"
	"errors"
	"sync"
	"testing"

	"fosite-mcp/storage/internal/database"
)

// TestDeadlocksAndSerializationFailuresAreRetried makes real ones. SQLite knows neither: its writers take turns.
func TestDeadlocksAndSerializationFailuresAreRetried(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.store(t)
		if !store.db.Postgres {
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
		if _, err := store.Settings().Once(ctx, name, "0"); err != nil {
			t.Fatal(err)
		}
	}
	var meeting, done sync.WaitGroup
	meeting.Add(2)
	attempts, errs := make([]int, 2), make([]error, 2)
	for i, order := range [][]string{{first, second}, {second, first}} {
		done.Go(func() {
			errs[i] = store.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
				attempts[i]++
				if _, err := tx.Run("SET TRANSACTION ISOLATION LEVEL " + isolation); err != nil {
					return err
				}
				touch := func(name string) error {
					_, err := tx.Run(`UPDATE {settings} SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = ?`, name)
					return err
				}
				if first == second { // both must look before either changes anything
					var value string
					if err := tx.QueryRow(`SELECT value FROM {settings} WHERE name = ?`, first).Scan(&value); err != nil {
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
	// The one that has lost may lock its first row again before the other one wakes up, and then they meet once more.
	if attempts[0]+attempts[1] < 3 {
		t.Errorf("attempts = %v, want one transaction to run twice", attempts)
	}
	for _, name := range []string{first, second} {
		if value, _, err := store.Settings().Get(ctx, name); err != nil || value != "2" {
			t.Errorf("%s = %q (error %v), want both changes once", name, value, err)
		}
	}
}
