package database

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
)

func TestForgottenTransactionIsRolledBack(t *testing.T) {
	db, ctx := newSQLite(t), soon(t)
	inner, err := db.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(inner, setSetting("forgotten")); err != nil {
		t.Fatal(err)
	}
	forgotten := transactionFrom(inner)
	forgotten.timer.Reset(0) // transactionLimit has passed
	eventually(t, "the transaction has ended", func() bool {
		return forgotten.ended.Load()
	})
	if err := db.Write(ctx, setSetting("next")); err != nil {
		t.Fatalf("a write after the forgotten transaction: %v", err)
	}
	wantSetting(t, db, "forgotten", false)
	if err := db.Commit(inner); err == nil {
		t.Error("the forgotten transaction can be committed")
	}
}

// inTheirs runs test in a transaction of a host's, which the host commits whatever comes of the test.
func inTheirs(t *testing.T, db *DB, test func(ctx context.Context)) {
	t.Helper()
	tx := db.Host().Begin()
	if tx.Error != nil {
		t.Fatal(tx.Error)
	}
	test(WithTx(soon(t), tx))
	if err := tx.Commit().Error; err != nil {
		t.Fatal(err)
	}
}

// What fails in a host's transaction leaves nothing behind, although the host commits, and its caller has gone meanwhile.
func TestAFailureInAHostsTransactionLeavesNothing(t *testing.T) {
	failure := errors.New("failure")
	for name, gone := range map[string]bool{"a caller who waits": false, "a caller who has gone": true} {
		t.Run(name, func(t *testing.T) {
			db := newSQLite(t)
			inTheirs(t, db, func(ctx context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
					if err := setSetting("half")(ctx, tx); err != nil {
						return err
					}
					if gone {
						cancel()
					}
					return failure
				})
				if !errors.Is(err, failure) {
					t.Errorf("error %v, want that of the function", err)
				}
			})
			wantSetting(t, db, "half", false)
			if err := db.Write(soon(t), setSetting("next")); err != nil {
				t.Error(err)
			}
		})
	}
}

// The events of a change in a host's transaction are stored before the change counts, also when its caller goes.
func TestAnEventThatCannotBeStoredUndoesItsChange(t *testing.T) {
	for name, fails := range map[string]bool{"stored": false, "not stored": true} {
		t.Run(name, func(t *testing.T) {
			db := newSQLite(t)
			flushed := 0
			db.Flush = func(ctx context.Context, tx *Tx, deferred []any) error {
				flushed += len(deferred)
				if fails {
					return errors.New("no event")
				}
				return setSetting("event")(ctx, tx)
			}
			inTheirs(t, db, func(ctx context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
					defer cancel()
					return errors.Join(setSetting("change")(ctx, tx), db.Defer(ctx, "event"))
				})
				if (err != nil) != fails {
					t.Errorf("error %v", err)
				}
			})
			if flushed != 1 {
				t.Errorf("%d events", flushed)
			}
			wantSetting(t, db, "change", !fails)
			wantSetting(t, db, "event", !fails)
		})
	}
}

// The context of a transaction that is over does nothing any more: its work would be kept with something else.
func TestAContextOfATransactionThatIsOver(t *testing.T) {
	db := newSQLite(t)
	inTheirs(t, db, func(ctx context.Context) {
		inner, err := db.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Rollback(inner); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(inner, setSetting("late")); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("a write: %v, want that the transaction is over", err)
		}
		if err := db.Defer(inner, "event"); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("an event: %v, want that the transaction is over", err)
		}
	})
	wantSetting(t, db, "late", false)
}

// A store that cannot be used does not work on what somebody's transaction happens to have.
func TestAFailingDatabaseFailsInATransactionToo(t *testing.T) {
	db := newSQLite(t)
	failing := Failing(errors.New("kept elsewhere"))
	inTheirs(t, db, func(ctx context.Context) {
		if err := failing.Write(ctx, setSetting("wrong")); err == nil {
			t.Error("it writes")
		}
		if _, err := failing.Run(ctx, `INSERT INTO {settings} (name, value) VALUES ('wrong', '')`); err == nil {
			t.Error("it runs statements")
		}
		if err := failing.QueryRow(ctx, `SELECT COUNT(*) FROM {settings}`).Scan(new(int)); err == nil {
			t.Error("it reads")
		}
		if _, err := failing.Begin(ctx); err == nil {
			t.Error("it begins")
		}
	})
	wantSetting(t, db, "wrong", false)
}

func TestWithNoTransactionNothingWorks(t *testing.T) {
	db := newSQLite(t)
	for name, tx := range map[string]*gorm.DB{"nil": nil, "no transaction": db.Host()} {
		if err := db.Write(WithTx(soon(t), tx), setSetting("lost")); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	wantSetting(t, db, "lost", false)
}

// A panic beside a write, of a host's callback for instance, reaches its caller, and keeps nobody else waiting.
func TestAPanicKeepsNobodyWaiting(t *testing.T) {
	db, release := heldGroup(t)
	db.Flush = func(context.Context, *Tx, []any) error { panic("in the middle") }
	var done sync.WaitGroup
	for i := range 3 {
		done.Go(func() {
			defer func() { _ = recover() }()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = db.Write(ctx, func(ctx context.Context, _ *Tx) error { return db.Defer(ctx, i) })
			if ctx.Err() != nil {
				t.Error("a write hangs")
			}
		})
	}
	eventually(t, "all writes wait", func() bool { return db.queued() == 3 })
	release()
	done.Wait()
	db.Flush = nil
	if err := db.Write(soon(t), setSetting("next")); err != nil {
		t.Errorf("the next write: %v", err)
	}
}
