package database

import (
	"path/filepath"
	"testing"
	"time"

	"fosite-mcp/config"

	"gorm.io/gorm"
)

// Processes that start together on a new file meet while one of them switches it to WAL. The others wait, where SQLite
// alone would fail at once with "database is locked", whatever busy_timeout says.
func TestOpeningWaitsForAProcessThatOpensTheSameNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	other, err := gorm.Open(sqliteDialector(path))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := other.DB()
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	if err := other.Exec("PRAGMA journal_mode=DELETE").Error; err != nil { // as it is in a new file
		t.Fatal(err)
	}
	lock := other.Begin()
	if lock.Error != nil {
		t.Fatal(lock.Error)
	}
	opened := make(chan error)
	go func() {
		_, pool, err := Open(config.Database{URL: config.DatabaseURL("sqlite:" + path)})
		if err == nil {
			err = pool.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("beside the lock: %v", err)
	case <-time.After(50 * time.Millisecond): // it waits
	}
	if err := lock.Rollback().Error; err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("after the lock: %v", err)
	}
}
