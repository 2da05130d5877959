package bench

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
)

// Rows that are filled in count as live tokens of the store's, and take as much room.
func TestFilledRowsAreLiveTokens(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		checkFill(t, &scratch{dialect: sqlite, url: config.DatabaseURL("sqlite:" + filepath.Join(t.TempDir(), "bench.db"))})
	})
	t.Run("postgres", func(t *testing.T) {
		server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
		if server == "" {
			t.Skip("FOSITE_MCP_TEST_POSTGRES is not set")
		}
		d, err := newOnServer(t.Context(), config.DatabaseURL(server))
		if err != nil {
			t.Fatal(err)
		}
		checkFill(t, d)
		described, err := d.describe(t.Context(), "")
		if err != nil || described.Version == "" || described.Durability == "" || len(d.objects(t.Context(), 1)) < 4 {
			t.Errorf("%+v, %v", described, err)
		}
	})
}

func checkFill(t *testing.T, d *scratch) {
	t.Helper()
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	revokedToken(t, d.url)
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := d.size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const rows = 1000
	done := 0
	if err := d.fill(t.Context(), rows, time.Now(), time.Now().Add(time.Second), func(n int) { done = n }); err != nil {
		t.Fatal(err)
	}
	if err := d.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := d.size(t.Context())
	if each := float64(after-before) / rows; err != nil || each < 100 || each > 1000 {
		t.Errorf("%.0f bytes for each row, %v", each, err)
	}
	if n, err := d.tokens(t.Context()); n != rows || done != rows || err != nil {
		t.Errorf("%d live tokens, %d told of, %v; want all but the copied one", n, done, err)
	}
	for _, query := range []string{"SELECT count(DISTINCT request_id) FROM access_tokens", "SELECT count(*) FROM access_tokens WHERE length(signature) = 32 AND length(request_id) = 36",
		"SELECT count(*) FROM access_tokens WHERE expires_at - issued_at BETWEEN 3590000 AND 3600000"} {
		if n, err := d.number(t.Context(), query); n != rows+1 || err != nil {
			t.Errorf("%s: %d, %v; want %d", query, n, err, rows+1)
		}
	}
}

// revokedToken makes the tables, and a client with a token that is revoked.
func revokedToken(t *testing.T, at config.DatabaseURL) {
	t.Helper()
	db, pool, err := database.Open(config.Database{URL: at, MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	machine := &client.Client{ID: "mcp_machine", GrantTypes: []string{"client_credentials"}}
	if err := store.Clients().Create(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	r := fosite.NewAccessRequest(&fosite.DefaultSession{ExpiresAt: map[fosite.TokenType]time.Time{fosite.AccessToken: time.Now().Add(time.Hour)}})
	r.Client, r.Form = machine, url.Values{"grant_type": {"client_credentials"}}
	if err := store.CreateAccessTokenSession(t.Context(), "019a00000000~one", r); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.ExecContext(t.Context(), "UPDATE access_tokens SET revoked_at = 1"); err != nil {
		t.Fatal(err)
	}
}
