package storage

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// Clients registers the store's own clients. With [WithClients] there are none, and every call fails.
func (s *Store) Clients() *clients.Registry { return s.clients }

// Issuers manages the rules about issuers whose assertions are exchanged for tokens: clients with a Trust, which are none
// otherwise. With [WithClients] there are none, and every call fails.
func (s *Store) Issuers() *clients.Registry { return s.issuers }

// RulesOfIssuer is [clients.Registry.OfIssuer]; provider.JWTBearerFactory finds it here.
func (s *Store) RulesOfIssuer(ctx context.Context, issuer string) ([]*client.Client, error) {
	if s.external != nil {
		return nil, nil
	}
	return s.issuers.OfIssuer(ctx, issuer)
}

// KeepsClients tells whether the store has clients of its own, and with them an audit log, admin keys and what else is not
// tokens. With [WithClients] it has not.
func (s *Store) KeepsClients() bool { return s.external == nil }

var errTokensAlone = errors.New("storage: the store was made with WithClients, which keeps tokens and nothing else")

var errClientsElsewhere = errors.New("storage: the store has no clients of its own: it was made with WithClients; register them there")

// FromFosite is a client to register with [clients.Registry.Create], out of one that fosite's own store could hold: see
// [client.FromFosite].
func FromFosite(c fosite.Client) (*client.Client, error) { return client.FromFosite(c) }

// GetClient implements [fosite.ClientManager]. It answers [fosite.ErrNotFound] for a client that does not exist,
// is disabled, expired or deleted; only secrets that work now are on the client. The client and its secrets come without
// their LastUsedAt, and the secrets without their Hint: see [clients.Registry.Find]. Other requests share its lists and keys, so
// nobody may change them.
func (s *Store) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if s.external != nil {
		return s.external.GetClient(ctx, id)
	}
	ahead := readAheadOf(ctx)
	if ahead == nil {
		return s.clients.Get(ctx, id)
	}
	found := &tokenAhead{store: s.core, at: time.Now()}
	client, err := s.clientsWithToken.Get(ctx, id, ahead.hash, &found.token)
	if err == nil {
		ahead.found.Store(found)
	}
	return client, err
}

// SecretUsed is [clients.Registry.SecretUsed]; provider.ClientAuthenticator finds it here.
func (s *Store) SecretUsed(ctx context.Context, client fosite.Client, hash []byte) error {
	if s.external != nil {
		return nil
	}
	return s.clients.SecretUsed(ctx, client, hash)
}

// EachSlowSecret is [clients.Registry.EachSlowSecret]; provider.ClientAuthenticator finds it here.
func (s *Store) EachSlowSecret(ctx context.Context, each func(clientID string, hash []byte)) error {
	if s.external != nil {
		return nil
	}
	return s.clients.EachSlowSecret(ctx, each)
}
