package cmd

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"gorm.io/gorm"
)

// newDatabase is a SQLite database with the whole schema.
func newDatabase(t *testing.T) *gorm.DB {
	t.Helper()
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + filepath.Join(t.TempDir(), "fosite-mcp.db"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	if err := storage.New(db).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestStatusOfANewerSchemaIsAnError(t *testing.T) {
	db := newDatabase(t)
	if err := db.Exec("INSERT INTO fosite_mcp_migrations (version_id, is_applied) VALUES (999, 1)").Error; err != nil {
		t.Fatal(err)
	}
	for _, json := range []bool{false, true} {
		var out strings.Builder
		err := printMigrations(t.Context(), &terminal.Terminal{Stdout: &out, JSON: json}, storage.New(db))
		if err == nil || !strings.Contains(err.Error(), "999") || !strings.Contains(out.String(), "tokens/00001_init.sql") {
			t.Errorf("JSON %v: error %v after %q, want the list and that version 999 is newer", json, err, out.String())
		}
	}
}

func TestStatusOfAnOlderSchemaIsAnError(t *testing.T) {
	db := newDatabase(t)
	for _, json := range []bool{false, true} {
		var out strings.Builder
		if err := migrationStatus(t.Context(), &terminal.Terminal{Stdout: &out, JSON: json}, storage.New(db)); err != nil {
			t.Errorf("JSON %v, up to date: %v", json, err)
		}
	}
	if err := db.Exec("DELETE FROM fosite_mcp_migrations WHERE version_id = 1008").Error; err != nil {
		t.Fatal(err)
	}
	for _, json := range []bool{false, true} {
		var out strings.Builder
		err := migrationStatus(t.Context(), &terminal.Terminal{Stdout: &out, JSON: json}, storage.New(db))
		if err == nil || !strings.Contains(err.Error(), "1 of ") || !strings.Contains(err.Error(), "fosite-mcp migrate up") || !strings.Contains(out.String(), "tokens/00008_revocations.sql") {
			t.Errorf("JSON %v: error %v after %q, want the list and what to do", json, err, out.String())
		}
	}
}

func TestAnInterruptedCleanUpSaysHowFarItCame(t *testing.T) {
	store := storage.New(newDatabase(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	err := cleanUp(ctx, &terminal.Terminal{Stdout: &out, JSON: true}, store, 0)
	if err == nil || !strings.Contains(err.Error(), "run it again to go on") || out.String() != "{\"deleted\":{},\"total\":0}\n" {
		t.Errorf("error %v after %q, want how far it came and the remedy", err, out.String())
	}
}
