package storage

import (
	"context"
	"sync"
	"testing"
	"time"

	"fosite-mcp/storage/storagetest"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

func TestConformance(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		newStore := func(t *testing.T, setup storagetest.Setup) storagetest.Storage {
			return e.contractStore(t, setup)
		}
		storagetest.Run(t, newStore)
		storagetest.RunGrace(t, newStore)
		storagetest.RunCleanUp(t, newStore, func(ctx context.Context, store storagetest.Storage) error {
			_, err := store.(*Store).CleanUp(ctx, CleanUp{Batch: 50, Share: 1})
			return err
		})
	})
}

func TestConformanceWithClientsFromElsewhere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		storagetest.RunRules(t, func(t *testing.T, setup storagetest.Setup) storagetest.Storage {
			return e.contractStore(t, setup, WithClients(newClientMap(setup.Clients...)))
		})
	})
}

// contractStore is a store as the conformance suite wants it.
func (e testEngine) contractStore(t *testing.T, setup storagetest.Setup, options ...Option) *Store {
	ctx := context.Background()
	options = append(options, WithSessions(setup.Sessions...), WithRefreshGrace(setup.RefreshGrace))
	if setup.Now != nil {
		options = append(options, WithClock(setup.Now))
	}
	store := e.store(t, options...)
	for _, c := range setup.Clients {
		if store.external != nil {
			break
		}
		err := store.Clients().Create(ctx, &client.Client{
			ID: c.ID, Scope: c.Scopes, Audience: c.Audience, GrantTypes: c.GrantTypes,
			ResponseTypes: c.ResponseTypes, RedirectURIs: c.RedirectURIs, TokenEndpointAuthMethod: "none",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range setup.Keys {
		if err := store.TrustKey(ctx, key.Issuer, key.Subject, &key.Key, key.Scopes); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// clientMap is a stranger's source of clients, in memory.
type clientMap struct {
	clients map[string]fosite.Client
	err     error // answers every question, when set

	mu   sync.Mutex
	used map[string]time.Time
}

func newClientMap(clients ...*fosite.DefaultClient) *clientMap {
	m := &clientMap{clients: make(map[string]fosite.Client), used: make(map[string]time.Time)}
	for _, client := range clients {
		m.clients[client.ID] = client
	}
	return m
}

func (m *clientMap) GetClient(_ context.Context, id string) (fosite.Client, error) {
	if m.err != nil {
		return nil, m.err
	}
	if client, ok := m.clients[id]; ok {
		return client, nil
	}
	return nil, fosite.ErrNotFound
}

func (m *clientMap) ClientAssertionJWTValid(_ context.Context, jti string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.used[jti]) {
		return fosite.ErrJTIKnown
	}
	return nil
}

func (m *clientMap) SetClientAssertionJWT(_ context.Context, jti string, exp time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.used[jti]) {
		return fosite.ErrJTIKnown
	}
	m.used[jti] = exp
	return nil
}
