package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

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
		{"a dead connection, then success", []error{driver.ErrBadConn, nil}, 2, nil},
		{"a session that was ended, then success", []error{failing("57P01"), nil}, 2, nil},
		{"a standby, then success", []error{failing("25006"), nil}, 2, nil},
		{"a standby for ever", []error{failing("25006")}, reconnects + 1, failing("25006")},
		{"a connection that broke in the middle", []error{io.ErrUnexpectedEOF}, 1, io.ErrUnexpectedEOF},
		{"one that broke before the commit", []error{notCommitted(io.ErrUnexpectedEOF), nil}, 2, nil},
		{"a caller who has gone", []error{notCommitted(context.Canceled)}, 1, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 0
			err := repeat(context.Background(), func() error {
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
	err := repeat(ctx, func() error { runs++; cancel(); return failing("40001") })
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
