package observe

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/storage"
)

func metrics(o *Observer) string {
	w := httptest.NewRecorder()
	o.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// Nobody makes the server remember, and Prometheus store, as many clients as they like.
func TestTheClientsOfAMetricAreBounded(t *testing.T) {
	o := New(slog.New(slog.DiscardHandler), new(sql.DB))
	for i := range 3 * mostClients {
		o.countFacts(&reqinfo.Facts{Client: fmt.Sprint("client", i), Issued: "client_credentials"})
	}
	o.countFacts(&reqinfo.Facts{Client: "client0", Issued: "client_credentials", Introspected: "active"})
	o.countFacts(&reqinfo.Facts{Client: "https://anybody.example/client.json", Issued: "authorization_code"})
	all := metrics(o)
	if strings.Contains(all, "anybody") {
		t.Error("a metric has the id of a client that nobody registered")
	}
	if n := strings.Count(all, "\nfosite_mcp_tokens_issued_total{"); n != mostClients+2 {
		t.Errorf("%d series, want %d", n, mostClients+2)
	}
	for _, want := range []string{
		`fosite_mcp_tokens_issued_total{client_id="client0",grant_type="client_credentials"} 2`,
		fmt.Sprintf(`fosite_mcp_tokens_issued_total{client_id="other",grant_type="client_credentials"} %d`, 2*mostClients),
		`fosite_mcp_introspections_total{answer="active"} 1`, `fosite_mcp_introspections_total{answer="inactive"} 0`,
	} {
		if !strings.Contains(all, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// Whether the database takes writes is known without a request.
func TestTheDatabaseIsWatchedWithoutTraffic(t *testing.T) {
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + filepath.Join(t.TempDir(), "fosite-mcp.db"))})
	if err != nil {
		t.Fatal(err)
	}
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := New(slog.New(slog.DiscardHandler), pool)
	if err := o.TellBuild(t.Context(), store, "v1.2.3", "5f1b2c3"); err != nil {
		t.Fatal(err)
	}
	o.housekeepOnce(t.Context(), store, storage.Maintenance{})
	all := metrics(o)
	for _, want := range []string{
		`fosite_mcp_database_up 1`, `fosite_mcp_clients_ending\{cause="secret",within="168h"\} 0`, `fosite_mcp_build_info\{revision=".*",schema="[1-9]\d*",version=".+"\} 1`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(all) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	o.told(t.Context(), store, storage.TaskCheck, errors.New("disk on fire"))
	if !strings.Contains(metrics(o), "fosite_mcp_database_up 0\n") {
		t.Error("a database that takes no writes is up")
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	o.told(t.Context(), store, storage.TaskCheck, nil)
	o.told(stopped, store, storage.TaskCheck, context.Canceled)
	if !strings.Contains(metrics(o), "fosite_mcp_database_up 1\n") {
		t.Error("a server that stops says that its database is down")
	}
}
