package observe

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
)

// Work that is cut short because the server stops, or because the caller has left, has not failed.
func TestAnInterruptionIsNoError(t *testing.T) {
	var log bytes.Buffer
	o := New(slog.New(slog.NewTextHandler(&log, nil)), new(sql.DB))
	stopped, stop := context.WithCancel(t.Context())
	o.cleanedUp(stopped, 0, errors.New("disk on fire"))
	if !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("a failed clean-up is not in the log: %s", &log)
	}
	log.Reset()
	o.Quiet = true
	stop()
	o.cleanedUp(stopped, 0, context.Canceled)
	o.Serve(httptest.NewRecorder(), httptest.NewRequestWithContext(stopped, http.MethodPost, "/token", nil), "/token",
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	if log.Len() > 0 {
		t.Errorf("the log says:\n%s", &log)
	}
}

// What was used by the last requests is written down before the database closes.
func TestTheLastUseIsWrittenWhenTheServerStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fosite-mcp.db")
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + path)})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := &audit.AdminKey{Name: "ops", Role: audit.RoleRead}
	if err := store.AdminKeys().Create(t.Context(), key, strings.Repeat("k", 40)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.AdminKeys().Find(t.Context(), strings.Repeat("k", 40)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	stopped, stop := context.WithCancel(t.Context())
	stop()
	New(slog.New(slog.NewTextHandler(&log, nil)), pool).Housekeep(stopped, store, storage.Maintenance{})
	keys, err := store.AdminKeys().List(t.Context())
	if err != nil || len(keys) != 1 || keys[0].LastUsedAt.IsZero() {
		t.Errorf("keys %+v, error %v", keys, err)
	}
	if log.Len() > 0 {
		t.Errorf("the log says:\n%s", &log)
	}
}
