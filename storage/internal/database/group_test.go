package database

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// newSQLite is a database with the tables that these tests write to.
func newSQLite(t *testing.T) *DB {
	t.Helper()
	db, err := gorm.Open(sqlite.Open("file:"+filepath.Join(t.TempDir(), "test.db")+"?_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate"),
		&gorm.Config{Logger: logger.Discard, PrepareStmt: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pool, err := db.DB(); err == nil {
			_ = pool.Close()
		}
	})
	for _, table := range []string{"grants (id TEXT PRIMARY KEY)", "settings (name TEXT PRIMARY KEY, value TEXT)"} {
		if err := db.Exec("CREATE TABLE " + table).Error; err != nil {
			t.Fatal(err)
		}
	}
	return New(db)
}

// soon ends when something hangs.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for ctx := soon(t); !holds(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("it never came that %s", what)
		}
	}
}

// heldGroup is a database whose writes queue up until release is called.
func heldGroup(t *testing.T) (db *DB, release func()) {
	db = newSQLite(t)
	db.group.turn <- struct{}{}
	return db, func() { <-db.group.turn }
}

func (d *DB) queued() int {
	d.group.mu.Lock()
	defer d.group.mu.Unlock()
	return len(d.group.waiting)
}

// setSetting is a write like any other.
func setSetting(name string) func(ctx context.Context, tx *Tx) error {
	return func(ctx context.Context, tx *Tx) error {
		_, err := tx.Run(`INSERT INTO {settings} (name, value) VALUES (?, 'set')`, name)
		return err
	}
}

func wantSetting(t *testing.T, db *DB, name string, want bool) {
	t.Helper()
	var found int
	if err := db.Read(context.Background()).QueryRow(`SELECT COUNT(*) FROM {settings} WHERE name = ?`, name).Scan(&found); err != nil {
		t.Fatal(err)
	}
	if got := found == 1; got != want {
		t.Errorf("setting %s: stored = %v, want %v", name, got, want)
	}
}

func TestWritesThatWaitTogetherShareACommit(t *testing.T) {
	const writes = groupLimit + 44
	db, release := heldGroup(t)
	var mu sync.Mutex
	transactions := make(map[gorm.ConnPool]int)
	var done sync.WaitGroup
	for i := range writes {
		done.Go(func() {
			err := db.Write(soon(t), func(ctx context.Context, tx *Tx) error {
				mu.Lock()
				transactions[tx.Statement.ConnPool.(*gorm.PreparedStmtTX).Tx]++
				mu.Unlock()
				return setSetting(fmt.Sprint(i))(ctx, tx)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all writes wait", func() bool { return db.queued() == writes })
	release()
	done.Wait()
	if len(transactions) != 2 {
		t.Errorf("%d writes took %d commits, want 2: one of %d and one of the rest", writes, len(transactions), groupLimit)
	}
	for _, i := range []int{0, groupLimit - 1, groupLimit, writes - 1} {
		wantSetting(t, db, fmt.Sprint(i), true)
	}
}

func TestWriteThatFailsDoesNotHurtItsNeighbours(t *testing.T) {
	failure := errors.New("failure")
	for name, bad := range map[string]func(ctx context.Context, tx *Tx) error{
		"an error":       func(context.Context, *Tx) error { return failure },
		"a constraint":   setSetting("taken"),
		"a broken query": func(ctx context.Context, tx *Tx) error { _, err := tx.Run("BROKEN"); return err },
		"a panic":        func(context.Context, *Tx) error { panic("in the middle") },
		"a late mistake": func(ctx context.Context, tx *Tx) error {
			return errors.Join(setSetting("half")(ctx, tx), failure)
		},
		"its own timeout": func(context.Context, *Tx) error { return context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			db, release := heldGroup(t)
			if err := db.Host().Exec("INSERT INTO settings (name, value) VALUES (?, ?)", "taken", "").Error; err != nil {
				t.Fatal(err)
			}
			errs := make([]error, 3)
			var done sync.WaitGroup
			for i, fn := range []func(ctx context.Context, tx *Tx) error{setSetting("before"), bad, setSetting("after")} {
				done.Go(func() { errs[i] = db.Write(soon(t), fn) })
				eventually(t, "the write waits", func() bool { return db.queued() == i+1 })
			}
			release()
			done.Wait()
			if errs[0] != nil || errs[1] == nil || errs[2] != nil {
				t.Errorf("errors = %v, want one, in the middle", errs)
			}
			wantSetting(t, db, "before", true)
			wantSetting(t, db, "after", true)
			wantSetting(t, db, "half", false)
			if err := db.Write(soon(t), setSetting("next")); err != nil {
				t.Errorf("the next write: %v", err)
			}
		})
	}
}

func TestWriteWithdrawsWhenItsCallerIsGone(t *testing.T) {
	db, release := heldGroup(t)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error)
	go func() { errs <- db.Write(ctx, setSetting("withdrawn")) }()
	eventually(t, "the write waits", func() bool { return db.queued() == 1 })
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want that the context was cancelled", err)
	}
	release()
	if err := db.Write(soon(t), setSetting("next")); err != nil {
		t.Fatal(err)
	}
	wantSetting(t, db, "withdrawn", false)
	wantSetting(t, db, "next", true)
}

func TestWriteUnderWayIsNotUndoneByItsCaller(t *testing.T) {
	db := newSQLite(t)
	ctx, cancel := context.WithCancel(context.Background())
	err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		cancel() // a neighbour in the same commit must not suffer, so the truth is told
		return setSetting("done")(ctx, tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSetting(t, db, "done", true)
}

func TestPanicInAWriteSaysNothingOfItsValue(t *testing.T) {
	db := newSQLite(t)
	err := db.Write(soon(t), func(context.Context, *Tx) error { panic("a secret") })
	if err == nil || strings.Contains(err.Error(), "a secret") {
		t.Errorf("error = %v, want one that does not repeat the panic's value", err)
	}
}

// A statement of a group belongs to several callers, so nothing ends it half-way, which drivers would pay for with a goroutine.
// The transaction has its limit all the same.
func TestTheLimitOfAGroupEndsItBetweenStatements(t *testing.T) {
	t.Parallel()
	db := newSQLite(t)
	group, reachLimit := context.WithCancel(soon(t))
	j := &Job[write]{Done: make(chan error, 1), What: write{ctx: soon(t), fn: func(ctx context.Context, tx *Tx) error {
		if ctx.Done() != nil {
			t.Error("a statement of a group can be ended")
		}
		err := setSetting("late")(ctx, tx)
		reachLimit()
		for limit := soon(t); err == nil && limit.Err() == nil; {
			_, err = tx.Run(`UPDATE {settings} SET value = 'later' WHERE name = 'late'`)
		}
		return err
	}}}
	db.commitTogether(group, []*Job[write]{j})
	if err := <-j.Done; err == nil {
		t.Error("a group that has reached its limit goes on")
	}
	wantSetting(t, db, "late", false)
}

// Those that are written each by itself, because one has failed, have no time of their own.
func TestTheLimitOfAGroupHoldsForEachByItself(t *testing.T) {
	t.Parallel()
	db := newSQLite(t)
	group, reachLimit := context.WithCancel(soon(t))
	fails := func(context.Context, *Tx) error {
		reachLimit()
		return errors.New("refused")
	}
	jobs := []*Job[write]{
		{Done: make(chan error, 1), What: write{ctx: soon(t), fn: setSetting("late")}},
		{Done: make(chan error, 1), What: write{ctx: soon(t), fn: fails}},
	}
	db.commitTogether(group, jobs)
	for i, j := range jobs {
		if err := <-j.Done; !errors.Is(err, context.Canceled) {
			t.Errorf("%d: error = %v, want that the group has reached its limit", i, err)
		}
	}
	wantSetting(t, db, "late", false)
}

// What another program holds up, it holds up for all: each by itself would wait for it in turn.
func TestALockIsToldToAllAndWaitedForOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	open := func(settings string) *gorm.DB {
		db, err := gorm.Open(sqlite.Open("file:"+path+"?_journal_mode=WAL"+settings), &gorm.Config{Logger: logger.Discard, PrepareStmt: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if pool, err := db.DB(); err == nil {
				_ = pool.Close()
			}
		})
		return db
	}
	other := open("&_txlock=immediate")
	if err := other.Exec("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT)").Error; err != nil {
		t.Fatal(err)
	}
	db := New(open("&_busy_timeout=20")) // which begins without the lock
	holder := other.Begin()
	group, runs := make([]*Job[write], 3), 0
	for i := range group {
		set := func(ctx context.Context, tx *Tx) error {
			runs++
			return setSetting(fmt.Sprint(i))(ctx, tx)
		}
		group[i] = &Job[write]{Done: make(chan error, 1), What: write{ctx: soon(t), fn: set, atOnce: true}}
	}
	db.commitTogether(soon(t), group)
	for i, j := range group {
		if err := <-j.Done; err == nil || !isLocked(err) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if runs != 1 {
		t.Errorf("%d of them waited for the lock", runs)
	}
	if err := holder.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	db.commitTogether(soon(t), group)
	for i, j := range group {
		if err := <-j.Done; err != nil {
			t.Errorf("%d, without the lock: %v", i, err)
		}
		wantSetting(t, db, fmt.Sprint(i), true)
	}
}
