package clients_test

import (
	"context"
	"testing"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/enginetest"
)

// fixture is the registry of a store on a new database.
type fixture struct {
	*clients.Registry
	store *storage.Store
	db    *gorm.DB
}

// engine makes empty databases of one kind.
type engine struct {
	dialector func(t *testing.T) func() gorm.Dialector
}

func onEachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	enginetest.OnEach(t, func(t *testing.T, _ string, dialector func(t *testing.T) func() gorm.Dialector) {
		test(t, engine{dialector})
	})
}

func (e engine) open(t *testing.T, options ...storage.Option) *fixture {
	t.Helper()
	db := enginetest.Open(t, e.dialector(t)())
	store := storage.New(db, options...)
	if err := store.Migrate(soon(t)); err != nil {
		t.Fatal(err)
	}
	return &fixture{store.Clients(), store, db}
}

// withClients has the clients machine and person, each with a secret of its own.
func (e engine) withClients(t *testing.T, options ...storage.Option) *fixture {
	t.Helper()
	s := e.open(t, options...)
	for _, id := range []string{"machine", "person"} {
		err := s.Create(soon(t), &client.Client{
			ID: id, Scope: []string{"mcp:search"}, TokenEndpointAuthMethod: "client_secret_basic",
			Secrets: []client.Secret{{ID: "secret-of-" + id, Hash: []byte(fastHash + id)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// fastHash is how hashes of generated secrets start.
const fastHash = "$sha256$"

// soon ends before the test would hang.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// testClock is moved by hand.
type testClock struct{ at time.Time }

func newTestClock() *testClock { return &testClock{time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) now() time.Time          { return c.at }
func (c *testClock) forward(d time.Duration) { c.at = c.at.Add(d) }
