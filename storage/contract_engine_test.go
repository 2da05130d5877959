package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ory/fosite"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// sqliteSettings are what the promises of this package rest on.
const sqliteSettings = "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_txlock=immediate&_foreign_keys=1"

// testEngine makes empty databases of one kind.
type testEngine struct {
	name string
	// dialector opens, as often as one likes, a new database that goes away with the test.
	dialector func(t *testing.T) func() gorm.Dialector
}

// onEachEngine runs test on SQLite, and on PostgreSQL when FOSITE_MCP_TEST_POSTGRES names a server.
func onEachEngine(t *testing.T, test func(t *testing.T, e testEngine)) {
	t.Run("SQLite", func(t *testing.T) { test(t, testEngine{"sqlite", newSQLiteFile}) })
	if os.Getenv("FOSITE_MCP_TEST_POSTGRES") != "" {
		t.Run("PostgreSQL", func(t *testing.T) { test(t, testEngine{"postgres", newPostgresSchema}) })
	}
}

func newSQLiteFile(t *testing.T) func() gorm.Dialector {
	path := filepath.Join(t.TempDir(), "test.db")
	return func() gorm.Dialector { return sqlite.Open("file:" + path + sqliteSettings) }
}

// newPostgresSchema keeps tests that run at the same time apart.
func newPostgresSchema(t *testing.T) func() gorm.Dialector {
	server, outer := os.Getenv("FOSITE_MCP_TEST_POSTGRES"), postgresServer(t)
	schema := "storage_test_" + strings.ToLower(rand.Text())
	if err := outer.Exec("CREATE SCHEMA " + schema).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := outer.Exec("DROP SCHEMA " + schema + " CASCADE").Error; err != nil {
			t.Error(err)
		}
	})
	inner, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := inner.Query()
	query.Set("search_path", schema)
	inner.RawQuery = query.Encode()
	return func() gorm.Dialector { return postgres.Open(inner.String()) }
}

var (
	postgresOnce sync.Once
	postgresPool *gorm.DB
	postgresErr  error
)

// postgresServer is one pool for all tests to make and drop their schemas with; it lives as long as the test program.
func postgresServer(t *testing.T) *gorm.DB {
	t.Helper()
	postgresOnce.Do(func() {
		postgresPool, postgresErr = gorm.Open(postgres.Open(os.Getenv("FOSITE_MCP_TEST_POSTGRES")), &gorm.Config{Logger: logger.Discard})
	})
	if postgresErr != nil {
		t.Fatal(postgresErr)
	}
	return postgresPool
}

// openPool opens a database and closes it with the test.
func openPool(t *testing.T, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	t.Cleanup(func() { _ = pool.Close() })
	return db
}

// store is a migrated store on a new database.
func (e testEngine) store(t *testing.T, options ...Option) *Store {
	t.Helper()
	store := New(openPool(t, e.dialector(t)()), options...)
	if err := store.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return store
}

// storeWithClients is a store with the clients machine and person, each with a secret of its own.
func (e testEngine) storeWithClients(t *testing.T, options ...Option) *Store {
	t.Helper()
	store := e.store(t, options...)
	store.addClient(t, "machine")
	store.addClient(t, "person")
	return store
}

func (s *Store) addClient(t *testing.T, id string) {
	t.Helper()
	err := s.CreateClient(context.Background(), &Client{
		ID: id, Scope: []string{"mcp:search"}, TokenEndpointAuthMethod: "client_secret_basic",
		Secrets: []ClientSecret{{ID: "secret-of-" + id, Hash: []byte(fastHash + id)}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// newTestRequest is a request of a client that the store knows only by its id.
func newTestRequest(clientID string) *fosite.Request {
	request := fosite.NewRequest()
	request.Client = &fosite.DefaultClient{ID: clientID}
	request.Session = &fosite.DefaultSession{Subject: "ada"}
	request.GrantedScope = fosite.Arguments{"mcp:search"}
	return request
}

// poolOf is the connection pool below a store's GORM.
func poolOf(t *testing.T, s *Store) *sql.DB {
	t.Helper()
	pool, err := s.db.Host().DB()
	if err != nil {
		t.Fatal(err)
	}
	return pool
}
