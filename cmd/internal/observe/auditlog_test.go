package observe

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
)

// Once a day a server looks whether its audit log is intact, without anybody who asks.
func TestTheAuditLogIsVerifiedEveryDay(t *testing.T) {
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + filepath.Join(t.TempDir(), "fosite-mcp.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := store.Audit().Append(t.Context(), audit.Event{Action: "admin.login_failed", Outcome: audit.OutcomeFailure}); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	o := New(slog.New(slog.NewTextHandler(&log, nil)), pool)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	o.auditLog.now = func() time.Time { return now }
	if all := metrics(o); strings.Contains(all, "fosite_mcp_audit_log") {
		t.Errorf("a log is intact, or not, before anybody has looked:\n%s", all)
	}
	check := func(want string) {
		t.Helper()
		o.auditLog.verify(t.Context(), store, o.Registry)
		if all := metrics(o); !strings.Contains(all, "\nfosite_mcp_audit_log_intact "+want+"\n") || !strings.Contains(all, "\nfosite_mcp_audit_log_verified_timestamp_seconds 1.7956944e+09\n") {
			t.Errorf("want %s:\n%s", want, all[strings.Index(all, "fosite_mcp_audit_log"):][:600])
		}
	}
	check("1")
	if _, err := pool.Exec("UPDATE audit_events SET actor = 'nobody' WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(auditEvery - time.Minute)
	check("1") // it is not time yet
	now = now.Add(time.Minute)
	check("0")
	check("0")
	if n := strings.Count(log.String(), "first_bad=2"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &log)
	}
}

// An operator sees whether a previous system secret is still needed.
func TestLiveTokensOfAPreviousSecretAreCounted(t *testing.T) {
	o := New(slog.New(slog.DiscardHandler), new(sql.DB))
	o.TellSecrets(1)
	o.countFacts(&reqinfo.Facts{PreviousSecret: "access_token", Introspected: "active"})
	o.countFacts(&reqinfo.Facts{Introspected: "active"})
	all := metrics(o)
	for _, want := range []string{
		`fosite_mcp_previous_secret_tokens_total{kind="access_token"} 1`, `fosite_mcp_previous_secret_tokens_total{kind="refresh_token"} 0`, `fosite_mcp_previous_system_secrets 1`,
	} {
		if !strings.Contains(all, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
