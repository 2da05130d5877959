package database

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/config"

	"gorm.io/gorm"
)

// inUse is a database with rows that another connection keeps open.
func inUse(t *testing.T, path string) *gorm.DB {
	t.Helper()
	db, pool, err := Open(config.Database{URL: config.DatabaseURL("sqlite:" + path), MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for _, statement := range []string{"CREATE TABLE t (x)", "INSERT INTO t VALUES (1), (2), (3)"} {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func count(t *testing.T, path string) (rows int64) {
	t.Helper()
	db, err := gorm.Open(sqliteReader(path))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := db.Table("t").Count(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

func wantFiles(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if err != nil || strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("in the folder are %v (%v), want %v", names, err, want)
	}
}

func quiet(int64) {}

func TestABackupIsTheDatabaseAtOneMoment(t *testing.T) {
	source, folder := filepath.Join(t.TempDir(), "fosite-mcp.db"), t.TempDir()
	db, target := inUse(t, source), filepath.Join(folder, "what? a 100%.db")
	writer := db.Begin() // a server at work
	if err := writer.Exec("INSERT INTO t VALUES (4)").Error; err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), db, source, target, false, quiet); err != nil {
		t.Fatal(err)
	}
	if err := writer.Commit().Error; err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o600 || count(t, target) != 3 {
		t.Errorf("%v %v, %d rows", info, err, count(t, target))
	}
	if err := Backup(t.Context(), db, source, target, false, quiet); err == nil || !strings.Contains(err.Error(), "is not overwritten") || count(t, target) != 3 {
		t.Errorf("a second one: %v", err)
	}
	if err := Backup(t.Context(), db, source, target, true, quiet); err != nil || count(t, target) != 4 {
		t.Errorf("one that replaces it: %v", err)
	}
	wantFiles(t, folder, "what? a 100%.db")
}

// The file appears whole or not at all, and nothing is left beside it.
func TestWhatIsNoBackupLeavesNothing(t *testing.T) {
	source, folder := filepath.Join(t.TempDir(), "fosite-mcp.db"), t.TempDir()
	db, target := inUse(t, source), filepath.Join(folder, "backup.db")
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := Backup(ctx, db, source, target, false, quiet); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("interrupted: %v", err)
	}
	wantFiles(t, folder)
	if err := os.Symlink(source, target); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{source, source + "-wal", target} {
		if err := Backup(t.Context(), db, source, own, true, quiet); err == nil || !strings.Contains(err.Error(), "is the database itself") {
			t.Errorf("%s: %v", own, err)
		}
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(folder, "elsewhere"), target); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), db, source, target, true, quiet); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a symbolic link: %v", err)
	}
	wantFiles(t, folder, "backup.db")
	// Somebody else's file has appeared while the copy was made.
	draft := filepath.Join(folder, "draft")
	for _, path := range []string{draft, source + ".other"} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(draft, source+".other", false); err == nil || !strings.Contains(err.Error(), "is not overwritten") {
		t.Errorf("a file that has appeared: %v", err)
	}
}

func TestAFileThatIsDamagedIsNoBackup(t *testing.T) {
	source := filepath.Join(t.TempDir(), "fosite-mcp.db")
	db, target := inUse(t, source), filepath.Join(t.TempDir(), "backup.db")
	if err := db.Exec("CREATE INDEX i ON t (x)").Error; err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), db, source, target, false, quiet); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	half := len(content) / 4096 / 2 * 4096
	for name, damaged := range map[string][]byte{
		"empty": {}, "no database": []byte("pg_dump"), "cut off": content[:half], "overwritten": append(append([]byte{}, content[:half]...), make([]byte, len(content)-half)...),
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := PutBack(t.Context(), path, filepath.Join(t.TempDir(), "fosite-mcp.db"), time.Now(), func(*gorm.DB) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "no intact SQLite database") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABackupTakesThePlaceOfTheDatabase(t *testing.T) {
	folder, now := t.TempDir(), time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	target, backup := filepath.Join(folder, "fosite-mcp.db"), filepath.Join(t.TempDir(), "backup.db")
	db := inUse(t, target)
	if err := Backup(t.Context(), db, target, backup, false, quiet); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("INSERT INTO t VALUES (4)").Error; err != nil {
		t.Fatal(err)
	}
	empty := func(db *gorm.DB) error { return db.Exec("DELETE FROM t WHERE x = 1").Error }
	if _, err := PutBack(t.Context(), backup, target, now, empty); err == nil || !strings.Contains(err.Error(), "stop the server") {
		t.Fatalf("below a running server: %v", err)
	}
	if _, err := PutBack(t.Context(), target, target, now, empty); err == nil || !strings.Contains(err.Error(), "the database itself") {
		t.Errorf("the database itself: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other.db")
	inUse(t, other)
	if _, err := PutBack(t.Context(), other, target, now, empty); err == nil || !strings.Contains(err.Error(), "in use or has crashed") {
		t.Errorf("another database that is in use: %v", err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := PutBack(t.Context(), backup, target, now, empty)
	if err != nil || kept != target+".before-restore-20261126T120000Z" || count(t, target) != 2 || count(t, kept) != 4 || count(t, backup) != 3 {
		t.Errorf("%s %v: %d rows, kept %d", kept, err, count(t, target), count(t, kept))
	}
	wantFiles(t, folder, "fosite-mcp.db", filepath.Base(kept))
	// A damaged database is a reason to restore one. Its log must not get into the backup.
	for _, suffix := range []string{"", "-wal"} {
		if err := os.WriteFile(target+suffix, []byte("damaged"+suffix), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = PutBack(t.Context(), backup, target, now.Add(time.Second), empty)
	if err != nil || count(t, target) != 2 {
		t.Errorf("%v: %d rows", err, count(t, target))
	}
	if _, err := os.Stat(target + "-wal"); err == nil {
		t.Error("the log of the damaged database is beside the backup")
	}
}
