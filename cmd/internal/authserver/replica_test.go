package authserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
)

// eachDatabase runs a test on an empty SQLite database, and on PostgreSQL where there is one.
func eachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "shared.db")) })
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		return
	}
	t.Run("postgres", func(t *testing.T) {
		db, pool, err := database.Open(config.Database{URL: config.DatabaseURL(server), MaxConnections: 4})
		if err != nil {
			t.Fatal(err)
		}
		schema := "cmd_" + strings.ToLower(rand.Text())
		if err := db.Exec("CREATE SCHEMA " + schema).Error; err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Exec("DROP SCHEMA " + schema + " CASCADE").Error; err != nil {
				t.Error(err)
			}
			_ = pool.Close()
		})
		separator := "?"
		if strings.Contains(server, "?") {
			separator = "&"
		}
		test(t, server+separator+"search_path="+schema)
	})
}

// sharedResource is the resource of all replicas of a test.
const sharedResource = "http://127.0.0.1:9/authed/mcp"

// replica is a server that runs in this process, on ports and with a data directory of its own.
type replica struct {
	Addresses
	t       *testing.T
	mu      sync.Mutex
	notices []string
	log     bytes.Buffer
	stop    func()
}

func (r *replica) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

// said is what the server has logged, and noticed what it has told people.
func (r *replica) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func (r *replica) noticed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.notices, "\n")
}

// startReplica starts a server on the database, or fails the test.
func startReplica(t *testing.T, database string, environ ...string) *replica {
	t.Helper()
	r, err := tryReplica(t, database, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tryReplica returns once the server accepts connections, or why it does not.
func tryReplica(t *testing.T, database string, environ ...string) (*replica, error) {
	t.Helper()
	cfg, err := config.Load("", append([]string{
		"FOSITE_MCP_DATABASE_URL=" + database, "FOSITE_MCP_DATA_DIR=" + filepath.Join(t.TempDir(), "data"),
		"FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0", "FOSITE_MCP_ISSUER=http://127.0.0.1:9",
		fmt.Sprintf(`FOSITE_MCP_RESOURCES={%q:{"scopes":["mcp:search"]}}`, sharedResource),
	}, environ...))
	if err != nil {
		return nil, err
	}
	r := &replica{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	server := &Instance{
		Config: cfg, Log: slog.New(slog.NewTextHandler(r, nil)), Ready: func(at Addresses) { ready <- at },
		Notice: func(format string, args ...any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.notices = append(r.notices, fmt.Sprintf(format, args...))
		},
	}
	go func() { ended <- server.Run(ctx) }()
	select {
	case r.Addresses = <-ready:
	case err := <-ended:
		cancel()
		return nil, err
	}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r, nil
}

// admin calls the admin API and returns the status of the answer.
func (r *replica) admin(key, method, path, body string) (status int, answer []byte) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.AdminURL+"/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, answer
}
