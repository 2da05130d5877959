package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gorm.io/driver/sqlite"
)

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
			if _, err := store.Settings().Once(soon(t), fmt.Sprint(i), "set"); err != nil {
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
		if value, _, err := reopened.Settings().Get(soon(t), fmt.Sprint(i)); err != nil || value != "set" {
			t.Errorf("setting %d is %q (%v)", i, value, err)
		}
	}
	var verdict string
	if err := reopened.db.Read(soon(t)).QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
}
