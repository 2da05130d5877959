// This file joins fosite's own integration tests in a temporary copy (scripts/fosite-suite) and puts our store in
// place of their memory store, which keeps the clients, the users and nothing else.

package integration_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"fosite-mcp/storage"

	"github.com/ory/fosite"
)

// suiteStore is fositeStore to the tests: ours, with the two things they reach for in the memory store.
type suiteStore struct {
	*storage.Store
	Clients map[string]fosite.Client
}

var fositeStore = &suiteStore{Clients: memoryStore.Clients}

// Authenticate knows the users of the password grant, which our store has no part in.
func (s *suiteStore) Authenticate(ctx context.Context, name, secret string) (string, error) {
	return memoryStore.Authenticate(ctx, name, secret)
}

// accessToken stands in for a look into the memory store's map.
func (s *suiteStore) accessToken(signature string) (fosite.Requester, bool) {
	request, err := s.GetAccessTokenSession(context.Background(), signature, nil)
	return request, err == nil
}

func TestMain(m *testing.M) {
	code, err := runWithStore(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fosite-suite:", err)
		code = 1
	}
	os.Exit(code)
}

func runWithStore(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dialector, remove, err := throwAwayDatabase()
	if err != nil {
		return 1, err
	}
	defer remove()
	db, err := gorm.Open(dialector, &gorm.Config{NamingStrategy: schema.NamingStrategy{TablePrefix: os.Getenv("FOSITE_MCP_TEST_TABLE_PREFIX")}})
	if err != nil {
		return 1, err
	}
	if pool, err := db.DB(); err == nil {
		defer pool.Close()
	}
	// The suite expects the second use of a refresh token to fail at once.
	store := storage.New(db, storage.WithClients(memoryStore), storage.WithSessions(&defaultSession{}), storage.WithRefreshGrace(0))
	if err := store.Migrate(ctx); err != nil {
		return 1, err
	}
	if err := trustKeys(ctx, store); err != nil {
		return 1, err
	}
	fositeStore.Store = store
	return m.Run(), nil
}

func trustKeys(ctx context.Context, store *storage.Store) error {
	for issuer, keys := range memoryStore.IssuerPublicKeys {
		for subject, ofSubject := range keys.KeysBySub {
			for _, key := range ofSubject.Keys {
				if err := store.TrustKey(ctx, issuer, subject, key.Key, key.Scopes); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// throwAwayDatabase is a schema of its own in the PostgreSQL of FOSITE_MCP_TEST_POSTGRES, or else a SQLite file.
func throwAwayDatabase() (dialector gorm.Dialector, remove func(), err error) {
	if server := os.Getenv("FOSITE_MCP_TEST_POSTGRES"); server != "" {
		return throwAwaySchema(server)
	}
	folder, err := os.MkdirTemp("", "fosite-suite-*")
	if err != nil {
		return nil, nil, err
	}
	dsn := "file:" + filepath.Join(folder, "suite.db") +
		"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_txlock=immediate&_foreign_keys=1"
	return sqlite.Open(dsn), func() { _ = os.RemoveAll(folder) }, nil
}

func throwAwaySchema(server string) (dialector gorm.Dialector, remove func(), err error) {
	outer, err := gorm.Open(postgres.Open(server))
	if err != nil {
		return nil, nil, err
	}
	schema := fmt.Sprintf("fosite_suite_%d", os.Getpid())
	if err := outer.Exec("CREATE SCHEMA " + schema).Error; err != nil {
		return nil, nil, err
	}
	remove = func() {
		if err := outer.Exec("DROP SCHEMA " + schema + " CASCADE").Error; err != nil {
			fmt.Fprintln(os.Stderr, "fosite-suite: drop the schema:", err)
		}
	}
	inner, err := url.Parse(server)
	if err != nil {
		remove()
		return nil, nil, err
	}
	query := inner.Query()
	query.Set("search_path", schema)
	inner.RawQuery = query.Encode()
	return postgres.Open(inner.String()), remove, nil
}
