package authserver

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"gorm.io/gorm"
)

// keptServer is configured for a database file of the first schema, whose issuer is https://docs.example.com.
func keptServer(t *testing.T, environ ...string) config.Config {
	t.Helper()
	kept, err := os.ReadFile("../../../storage/testdata/first-schema.db")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "fosite-mcp.db"), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("", append(environ, "FOSITE_MCP_DATA_DIR="+folder, "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0",
		"FOSITE_MCP_DATABASE_URL=sqlite:"+filepath.Join(folder, "fosite-mcp.db")))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// openForTest opens the database of a configuration until the test ends.
func openForTest(t *testing.T, cfg config.Config) *gorm.DB {
	t.Helper()
	db, pool, err := database.Open(cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return db
}

func wantApplied(t *testing.T, cfg config.Config, want int) {
	t.Helper()
	migrations, err := storage.New(openForTest(t, cfg)).Migrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	applied := 0
	for _, m := range migrations {
		if !m.AppliedAt.IsZero() {
			applied++
		}
	}
	if want == 0 {
		want = len(migrations)
	}
	if applied != want {
		t.Errorf("%d migrations are applied, want %d", applied, want)
	}
}

// Migrations cannot be undone, so a server that is started on the wrong database must not begin with them.
func TestADatabaseOfAnotherIssuerIsLeftAlone(t *testing.T) {
	cfg := keptServer(t)
	err := (&Instance{Config: cfg}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "https://docs.example.com") {
		t.Errorf("error %v, want one that names the issuer of the database", err)
	}
	wantApplied(t, cfg, 3) // the first step of tokens, clients and audit
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "system.secret")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a system secret was made (%v)", err)
	}
}

func TestAnOlderDatabaseIsMigratedAndThatIsLogged(t *testing.T) {
	cfg := keptServer(t, "FOSITE_MCP_ISSUER=https://docs.example.com")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log strings.Builder
	server := &Instance{Config: cfg, Log: slog.New(slog.NewTextHandler(&log, nil)), Ready: func(Addresses) { cancel() }}
	if err := server.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "migrated the database schema") || !strings.Contains(log.String(), "tokens/00004_refresh_grace.sql") ||
		strings.Contains(log.String(), "tokens/00001_init.sql") {
		t.Errorf("the log says %q, want what was migrated", log.String())
	}
	wantApplied(t, cfg, 0)
}
