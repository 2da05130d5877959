package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/sqlite"
)

// heldGroup is a store on SQLite whose writes queue up until release is called.
func heldGroup(t *testing.T) (store *Store, w *groupWriter, release func()) {
	store = testEngine{"sqlite", newSQLiteFile}.storeWithClients(t)
	w = store.writer.(*groupWriter)
	w.turn <- struct{}{}
	return store, w, func() { <-w.turn }
}

func (w *groupWriter) queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

// setSetting is a write like any other.
func setSetting(name string) func(ctx context.Context, q queryer) error {
	return func(ctx context.Context, q queryer) error {
		_, err := q.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES (?, 'set')`, name)
		return err
	}
}

func wantSetting(t *testing.T, store *Store, name string, want bool) {
	t.Helper()
	_, got, err := store.Setting(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("setting %s: stored = %v, want %v", name, got, want)
	}
}

func TestWritesThatWaitTogetherShareACommit(t *testing.T) {
	const writes = groupLimit + 44
	store, w, release := heldGroup(t)
	var mu sync.Mutex
	transactions := make(map[queryer]int)
	var done sync.WaitGroup
	for i := range writes {
		done.Go(func() {
			err := w.write(soon(t), func(ctx context.Context, q queryer) error {
				mu.Lock()
				transactions[q]++
				mu.Unlock()
				return setSetting(fmt.Sprint(i))(ctx, q)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all writes wait", func() bool { return w.queued() == writes })
	release()
	done.Wait()
	if len(transactions) != 2 {
		t.Errorf("%d writes took %d commits, want 2: one of %d and one of the rest", writes, len(transactions), groupLimit)
	}
	for _, i := range []int{0, groupLimit - 1, groupLimit, writes - 1} {
		wantSetting(t, store, fmt.Sprint(i), true)
	}
}

func TestWriteThatFailsDoesNotHurtItsNeighbours(t *testing.T) {
	failure := errors.New("failure")
	for name, bad := range map[string]func(ctx context.Context, q queryer) error{
		"an error":        func(context.Context, queryer) error { return failure },
		"a constraint":    setSetting("taken"),
		"a broken query":  func(ctx context.Context, q queryer) error { _, err := q.ExecContext(ctx, "BROKEN"); return err },
		"a panic":         func(context.Context, queryer) error { panic("in the middle") },
		"a late mistake":  func(ctx context.Context, q queryer) error { return errors.Join(setSetting("half")(ctx, q), failure) },
		"its own timeout": func(context.Context, queryer) error { return context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			store, w, release := heldGroup(t)
			if _, err := store.db.ExecContext(soon(t), `INSERT INTO settings (name, value) VALUES ('taken', '')`); err != nil {
				t.Fatal(err)
			}
			errs := make([]error, 3)
			var done sync.WaitGroup
			for i, fn := range []func(ctx context.Context, q queryer) error{setSetting("before"), bad, setSetting("after")} {
				done.Go(func() { errs[i] = w.write(soon(t), fn) })
				eventually(t, "the write waits", func() bool { return w.queued() == i+1 })
			}
			release()
			done.Wait()
			if errs[0] != nil || errs[1] == nil || errs[2] != nil {
				t.Errorf("errors = %v, want one, in the middle", errs)
			}
			wantSetting(t, store, "before", true)
			wantSetting(t, store, "after", true)
			wantSetting(t, store, "half", false)
			if err := w.write(soon(t), setSetting("next")); err != nil {
				t.Errorf("the next write: %v", err)
			}
		})
	}
}

func TestWriteWithdrawsWhenItsCallerIsGone(t *testing.T) {
	store, w, release := heldGroup(t)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error)
	go func() { errs <- w.write(ctx, setSetting("withdrawn")) }()
	eventually(t, "the write waits", func() bool { return w.queued() == 1 })
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want that the context was cancelled", err)
	}
	release()
	if err := w.write(soon(t), setSetting("next")); err != nil {
		t.Fatal(err)
	}
	wantSetting(t, store, "withdrawn", false)
	wantSetting(t, store, "next", true)
}

func TestWriteUnderWayIsNotUndoneByItsCaller(t *testing.T) {
	store := testEngine{"sqlite", newSQLiteFile}.store(t)
	ctx, cancel := context.WithCancel(context.Background())
	err := store.writer.write(ctx, func(ctx context.Context, q queryer) error {
		cancel() // a neighbour in the same commit must not suffer, so the truth is told
		return setSetting("done")(ctx, q)
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSetting(t, store, "done", true)
}

// TestAcknowledgedWriteIsOnDisk looks at the files as a crash at this moment would leave them.
func TestAcknowledgedWriteIsOnDisk(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "live.db")
	store := New(openPool(t, sqlite.Open("file:"+path+sqliteSettings)))
	if err := store.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	for i := range 100 {
		done.Go(func() {
			if err := store.writer.write(soon(t), setSetting(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	crashed := filepath.Join(folder, "crashed.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(crashed+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reopened := New(openPool(t, sqlite.Open("file:"+crashed+sqliteSettings)))
	for i := range 100 {
		wantSetting(t, reopened, fmt.Sprint(i), true)
	}
	var verdict string
	if err := reopened.db.QueryRowContext(soon(t), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
}

func TestPanicInAWriteSaysNothingOfItsValue(t *testing.T) {
	store := testEngine{"sqlite", newSQLiteFile}.store(t)
	err := store.writer.write(soon(t), func(context.Context, queryer) error { panic("a secret") })
	if err == nil || strings.Contains(err.Error(), "a secret") {
		t.Errorf("error = %v, want one that does not repeat the panic's value", err)
	}
}
