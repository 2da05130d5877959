package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// introspected reads a token as an introspection by the client called caller does, which is registered if need be. (Where
// clients come from elsewhere there is no such caller, and nothing is read ahead.)
func (s *Store) introspected(t *testing.T, caller, signature string) (fosite.Requester, error) {
	t.Helper()
	ctx := ReadAhead(context.Background(), signature)
	if s.external == nil {
		if err := s.Clients().Create(ctx, &client.Client{ID: caller}); err != nil && !errors.Is(err, clients.ErrExists) {
			t.Fatal(err)
		}
		if _, err := s.GetClient(ctx, caller); err != nil {
			t.Fatal(err)
		}
	}
	return s.GetAccessTokenSession(ctx, signature, nil)
}

func TestATokenIsReadTogetherWithTheCaller(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		second := &client.Secret{Hash: []byte(fastHash + "second")} // a row of its own in the answer
		if err := s.Clients().AddSecret(t.Context(), "machine", second, time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.issue(t, "token", s.authenticated(t, "person")) // whose registration is remembered from now on
		ctx := ReadAhead(soon(t), "token")
		caller, err := s.GetClient(ctx, "machine")
		if err != nil || caller.GetID() != "machine" || len(client.Of(caller).Secrets) != 2 {
			t.Fatalf("the caller is %+v, %v; want machine with its two secrets", caller, err)
		}
		readAheadOf(ctx).found.Load().at = time.Now().Add(time.Hour) // however long the pool takes
		if err := poolOf(t, s).Close(); err != nil {
			t.Fatal(err)
		}
		token, err := s.GetAccessTokenSession(ctx, "token", nil)
		if err != nil {
			t.Fatal("the token is not there without another look at the database:", err)
		}
		if id, subject := token.GetClient().GetID(), token.GetSession().GetSubject(); id != "person" || subject != "subject of person" {
			t.Errorf("the token is of %q for %q", id, subject)
		}
		if _, err := s.GetAccessTokenSession(ctx, "token", nil); err == nil || errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("asked again: %v; want a new look at the database, which is closed", err)
		}
	})
}

// Clients may live in one store and tokens in another: what the first knows about tokens is not asked.
func TestWhatOneStoreReadAheadIsNotUsedByAnother(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clients := e.storeWithClients(t)
		tokens := e.store(t, WithClients(clients))
		request := clients.authenticated(t, "person")
		for name, revokedIn := range map[string]*Store{"alive": clients, "revoked": tokens} {
			for _, s := range []*Store{clients, tokens} {
				if err := s.CreateAccessTokenSession(soon(t), name, request); err != nil {
					t.Fatal(err)
				}
			}
			if err := revokedIn.DeleteAccessTokenSession(soon(t), name); err != nil {
				t.Fatal(err)
			}
			ctx := ReadAhead(soon(t), name)
			if _, err := tokens.GetClient(ctx, "machine"); err != nil {
				t.Fatal(err)
			}
			_, err := tokens.GetAccessTokenSession(ctx, name, nil)
			if alive := revokedIn == clients; (err == nil) != alive || err != nil && !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("the token is %s: %v", name, err)
			}
		}
	})
}

// A context that serves a second request reads the token of that one from the database.
func TestAContextReadsAheadOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "person")
		s.issue(t, "token", request)
		ctx := ReadAhead(soon(t), "token")
		authenticate := func() {
			if _, err := s.GetClient(ctx, "machine"); err != nil {
				t.Fatal(err)
			}
		}
		authenticate()
		if _, err := s.GetAccessTokenSession(ctx, "token", nil); err != nil {
			t.Fatal(err)
		}
		authenticate()
		if err := s.RevokeGrant(soon(t), request.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetAccessTokenSession(ctx, "token", nil); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("a token that was revoked in the meantime: %v; want ErrNotFound", err)
		}
	})
}

func TestWhatWasReadAheadIsForThatTokenAlone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		s.issue(t, "alive", s.authenticated(t, "person"))
		ctx := ReadAhead(soon(t), "alive")
		if _, err := s.GetClient(ctx, "machine"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetAccessTokenSession(ctx, "other", nil); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("another token: %v; want ErrNotFound", err)
		}
		if _, err := s.introspected(t, "machine", "never issued"); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("a token that was never issued: %v; want ErrNotFound", err)
		}
		if ctx := context.Background(); ReadAhead(ctx, "") != ctx {
			t.Error("what is no token is announced")
		}
	})
}

// An authentication may take long, or be part of something that writes.
func TestWhatWasReadAheadDoesNotOutliveARevocation(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, after := range map[string]func(ctx context.Context, s *Store) context.Context{
			"a slow authentication": func(ctx context.Context, s *Store) context.Context {
				readAheadOf(ctx).found.Load().at = time.Now().Add(-readAheadLife - time.Nanosecond)
				return ctx
			},
			"a transaction": func(ctx context.Context, s *Store) context.Context {
				ctx, err := s.BeginTX(ctx)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Rollback(ctx) })
				return ctx
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := e.storeWithClients(t)
				request := s.authenticated(t, "person")
				s.issue(t, "token", request)
				ctx := ReadAhead(soon(t), "token")
				if _, err := s.GetClient(ctx, "machine"); err != nil {
					t.Fatal(err)
				}
				if err := s.RevokeGrant(soon(t), request.ID); err != nil {
					t.Fatal(err)
				}
				if _, err := s.GetAccessTokenSession(after(ctx, s), "token", nil); !errors.Is(err, fosite.ErrNotFound) {
					t.Errorf("a token that was revoked in the meantime: %v; want ErrNotFound", err)
				}
			})
		}
	})
}
