package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"fosite-mcp/storage"

	"github.com/ory/fosite"
)

// failing is a store of which one operation fails, as a database does that is locked, full or gone.
type failing struct {
	*storage.Store
	client, create, read, revoke bool
}

var errDisk = errors.New("database or disk is full")

func (s *failing) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if s.client {
		return nil, errDisk
	}
	return s.Store.GetClient(ctx, id)
}

func (s *failing) CreateAccessTokenSession(ctx context.Context, signature string, r fosite.Requester) error {
	if s.create {
		return errDisk
	}
	return s.Store.CreateAccessTokenSession(ctx, signature, r)
}

func (s *failing) GetAccessTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if s.read {
		return nil, errDisk
	}
	return s.Store.GetAccessTokenSession(ctx, signature, session)
}

func (s *failing) RevokeOwnToken(ctx context.Context, kind fosite.TokenType, signature, clientID string) (owner string, err error) {
	if s.revoke {
		return "", errDisk
	}
	return s.Store.RevokeOwnToken(ctx, kind, signature, clientID)
}

// An outage says nothing about the request: it is 503 with Retry-After everywhere, never "inactive", never 200,
// never invalid_client.
func TestAnOutageIsNeverAnAnswer(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	token := f.token("ci", secret)
	requests := map[string]func() *request{
		"token":      func() *request { return post("/token", "grant_type", "client_credentials").basic("ci", secret) },
		"introspect": func() *request { return post("/introspect", "token", token).basic("ci", secret) },
		"revoke":     func() *request { return post("/revoke", "token", token).basic("ci", secret) },
	}
	check := func(t *testing.T, endpoint string) {
		t.Helper()
		a := f.do(requests[endpoint]())
		if a.status != http.StatusServiceUnavailable || a.json["error"] != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s (Retry-After %q), want 503 temporarily_unavailable", endpoint, a.status, a.text, a.header.Get("Retry-After"))
		}
	}
	for name, c := range map[string]struct {
		store     failing
		endpoints []string
	}{
		"clients cannot be read":   {failing{client: true}, []string{"token", "introspect", "revoke"}},
		"tokens cannot be stored":  {failing{create: true}, []string{"token"}},
		"tokens cannot be read":    {failing{read: true}, []string{"introspect"}},
		"tokens cannot be revoked": {failing{revoke: true}, []string{"revoke"}},
	} {
		t.Run(name, func(t *testing.T) {
			store := c.store
			store.Store = f.store
			f.serve(&store)
			for _, endpoint := range c.endpoints {
				check(t, endpoint)
			}
		})
	}
	t.Run("the database is gone", func(t *testing.T) {
		f.serve(f.store)
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
		for endpoint := range requests {
			check(t, endpoint)
		}
		ready := f.do(&request{method: http.MethodGet, path: "/readyz", header: http.Header{}})
		live := f.do(&request{method: http.MethodGet, path: "/livez", header: http.Header{}})
		if ready.status != http.StatusServiceUnavailable || live.status != http.StatusOK {
			t.Errorf("readyz %d, livez %d; want 503 and 200", ready.status, live.status)
		}
	})
}
