// Package enginetest makes empty databases for tests, on each engine.
package enginetest

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// SQLiteSettings are what the promises of the store rest on.
const SQLiteSettings = "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_txlock=immediate&_foreign_keys=1"

// OnEach runs test on SQLite, and on PostgreSQL when FOSITE_MCP_TEST_POSTGRES names a server. dialector opens, as often as one
// likes, a new database that goes away with the test.
func OnEach(t *testing.T, test func(t *testing.T, name string, dialector func(t *testing.T) func() gorm.Dialector)) {
	t.Run("SQLite", func(t *testing.T) { test(t, "sqlite", SQLite) })
	if os.Getenv("FOSITE_MCP_TEST_POSTGRES") != "" {
		t.Run("PostgreSQL", func(t *testing.T) { test(t, "postgres", newPostgresSchema) })
	}
}

// SQLite makes a new file.
func SQLite(t *testing.T) func() gorm.Dialector {
	path := filepath.Join(t.TempDir(), "test.db")
	return func() gorm.Dialector { return sqlite.Open("file:" + path + SQLiteSettings) }
}

// newPostgresSchema keeps tests that run at the same time apart.
func newPostgresSchema(t *testing.T) func() gorm.Dialector {
	outer, err := postgresServer()
	if err != nil {
		t.Fatal(err)
	}
	name := "storage_test_" + strings.ToLower(rand.Text())
	if err := outer.Exec("CREATE SCHEMA " + name).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := outer.Exec("DROP SCHEMA " + name + " CASCADE").Error; err != nil {
			t.Error(err)
		}
	})
	inner, err := url.Parse(os.Getenv("FOSITE_MCP_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	query := inner.Query()
	query.Set("search_path", name)
	inner.RawQuery = query.Encode()
	return func() gorm.Dialector { return postgres.Open(inner.String()) }
}

// postgresServer is one pool for all tests to make and drop their schemas with; it lives as long as the test program.
var postgresServer = sync.OnceValues(func() (*gorm.DB, error) {
	return gorm.Open(postgres.Open(os.Getenv("FOSITE_MCP_TEST_POSTGRES")), &gorm.Config{Logger: logger.Discard})
})

// Open opens a database and closes it with the test. FOSITE_MCP_TEST_TABLE_PREFIX is the prefix of its tables.
func Open(t *testing.T, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	return open(t, dialector, os.Getenv("FOSITE_MCP_TEST_TABLE_PREFIX"))
}

// SQL is text with the names that tables have in a database of [Open]: {audit_events} stands for the table audit_events.
func SQL(text string) string {
	return tableInBraces.ReplaceAllString(text, os.Getenv("FOSITE_MCP_TEST_TABLE_PREFIX")+"$1")
}

var tableInBraces = regexp.MustCompile(`\{(\w+)\}`)

// OpenPlain is Open for tests about tables that have no prefix.
func OpenPlain(t *testing.T, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	return open(t, dialector, "")
}

func open(t *testing.T, dialector gorm.Dialector, prefix string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard, NamingStrategy: schema.NamingStrategy{TablePrefix: prefix}})
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
