package storage

import (
	"context"
	"database/sql"
	"testing"

	"github.com/ory/fosite"
	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/internal/enginetest"
)

const sqliteSettings = enginetest.SQLiteSettings

// testEngine makes empty databases of one kind.
type testEngine struct {
	name string
	// dialector opens, as often as one likes, a new database that goes away with the test.
	dialector func(t *testing.T) func() gorm.Dialector
}

func onEachEngine(t *testing.T, test func(t *testing.T, e testEngine)) {
	enginetest.OnEach(t, func(t *testing.T, name string, dialector func(t *testing.T) func() gorm.Dialector) {
		test(t, testEngine{name, dialector})
	})
}

func newSQLiteFile(t *testing.T) func() gorm.Dialector { return enginetest.SQLite(t) }

func openPool(t *testing.T, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	return enginetest.Open(t, dialector)
}

// fastHash is how hashes of generated secrets start.
const fastHash = "$sha256$"

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
	err := s.Clients().Create(context.Background(), &client.Client{
		ID: id, Scope: []string{"mcp:search"}, TokenEndpointAuthMethod: "client_secret_basic",
		Secrets: []client.Secret{{ID: "secret-of-" + id, Hash: []byte(fastHash + id)}},
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
