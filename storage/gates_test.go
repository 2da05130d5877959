package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// testClock is moved by hand.
type testClock struct{ at time.Time }

func newTestClock() *testClock { return &testClock{time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) now() time.Time          { return c.at }
func (c *testClock) forward(d time.Duration) { c.at = c.at.Add(d) }

// authenticated is a request of a client that has proved its identity with its secret, as provider leaves it.
func (s *Store) authenticated(t *testing.T, clientID string) *fosite.Request {
	t.Helper()
	c, err := s.GetClient(context.Background(), clientID)
	if err != nil {
		t.Fatal(err)
	}
	client.Of(c).AuthenticatedWith([]byte(fastHash + clientID))
	request := newTestRequest(clientID)
	request.Client, request.RequestedAt = c, s.now()
	request.Session = &fosite.DefaultSession{Subject: "subject of " + clientID}
	return request
}

// issue stores an access token, a refresh token and a code for request, under signatures that start with name.
func (s *Store) issue(t *testing.T, name string, request *fosite.Request) {
	t.Helper()
	ctx := context.Background()
	for _, err := range []error{
		s.CreateAuthorizeCodeSession(ctx, name, request),
		s.CreateAccessTokenSession(ctx, name, request),
		s.CreateRefreshTokenSession(ctx, name, name, request),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantAlive checks that whatever was issued under name counts, or that none of it does.
func wantAlive(t *testing.T, s *Store, name string, want bool) {
	t.Helper()
	ctx := context.Background()
	_, accessErr := s.GetAccessTokenSession(ctx, name, nil)
	_, aheadErr := s.introspected(t, "caller", name)
	_, refreshErr := s.GetRefreshTokenSession(ctx, name, nil)
	_, codeErr := s.GetAuthorizeCodeSession(ctx, name, nil)
	for _, kind := range []struct {
		name      string
		got, dead error
	}{
		{"access token", accessErr, fosite.ErrNotFound},
		{"access token, read ahead", aheadErr, fosite.ErrNotFound},
		{"refresh token", refreshErr, fosite.ErrInactiveToken},
		{"code", codeErr, fosite.ErrInvalidatedAuthorizeCode},
	} {
		wanted := kind.dead
		if want {
			wanted = nil
		}
		if kind.got != wanted {
			t.Errorf("%s %q: error %v, want %v", kind.name, name, kind.got, wanted)
		}
	}
}

// gate is a way to end what was issued to the client id for request, under the signature id.
type gate struct {
	name  string
	close func(ctx context.Context, s *Store, id string, request *fosite.Request) error
	// inFlight: it also ends what is stored afterwards for a request that had authenticated before.
	inFlight bool
}

var gateTable = []gate{
	{"the grant is revoked", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		return s.RevokeGrant(ctx, r.ID)
	}, false},
	{"a refresh token of the grant is revoked", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		return s.RevokeRefreshToken(ctx, r.ID)
	}, false},
	{"an access token is revoked by its public name", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		return s.RevokeTokenID(ctx, id, TokenID(id))
	}, false},
	{"a refresh token is revoked by its signature", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		_, _, err := s.RevokeSignature(ctx, fosite.RefreshToken, id)
		return err
	}, false},
	{"everything of the subject is revoked", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		_, err := s.RevokeSubject(ctx, "subject of "+id, "")
		return err
	}, false},
	{"everything of the subject at the client is revoked", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		_, err := s.RevokeSubject(ctx, "subject of "+id, id)
		return err
	}, false},
	{"everything of the client is revoked", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.RevokeClient(ctx, id)
	}, true},
	{"everything issued before now is revoked", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.RevokeClientBefore(ctx, id, s.now().Add(time.Nanosecond))
	}, true},
	{"everything of the secret is revoked", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.Clients().RevokeSecret(ctx, id, "secret-of-"+id)
	}, true},
	{"the secret is deleted with its tokens", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.Clients().DeleteSecret(ctx, id, "secret-of-"+id, true)
	}, true},
	{"every secret of the client has leaked", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.Clients().ReplaceSecrets(ctx, id, &client.Secret{Hash: []byte(fastHash + "new")})
	}, true},
	{"the client is disabled", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		_, err := s.Clients().SetStatus(ctx, id, client.Disabled, 0)
		return err
	}, true},
	{"the client has expired", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		c, err := s.Clients().Find(ctx, id)
		if err != nil {
			return err
		}
		c.ExpiresAt = s.now()
		return s.Clients().Update(ctx, c)
	}, true},
	{"the client is deleted", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.Clients().Delete(ctx, id)
	}, true},
}

func TestGates(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t, WithClock(newTestClock().now))
		for i, g := range gateTable {
			t.Run("when "+g.name, func(t *testing.T) {
				id, bystander := fmt.Sprintf("client-%d", i), fmt.Sprintf("bystander-%d", i)
				s.addClient(t, id)
				before, inFlight := s.authenticated(t, id), s.authenticated(t, id)
				s.issue(t, id, before)
				s.issue(t, bystander, s.authenticated(t, "person"))
				wantAlive(t, s, id, true)
				if err := g.close(ctx, s, id, before); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s, id, false)
				wantAlive(t, s, bystander, true)
				s.issue(t, "same grant as "+id, before) // by a code or a refresh that was under way
				wantAlive(t, s, "same grant as "+id, false)
				s.issue(t, "in flight beside "+id, inFlight)
				wantAlive(t, s, "in flight beside "+id, !g.inFlight)
			})
		}
	})
}

func TestWhatIsIssuedAfterARevocationCounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		for i, revoke := range []func() error{
			func() error { return s.RevokeClient(ctx, "machine") },
			func() error { return s.Clients().RevokeSecret(ctx, "machine", "secret-of-machine") },
			func() error { return s.RevokeClient(ctx, "machine") },
			func() error { return s.RevokeClientBefore(ctx, "machine", clock.now()) },
			func() error { _, err := s.RevokeSubject(ctx, "subject of machine", ""); return err },
		} {
			name := fmt.Sprint(i)
			if err := revoke(); err != nil {
				t.Fatal(err)
			}
			s.issue(t, name, s.authenticated(t, "machine"))
			wantAlive(t, s, name, true)
			clock.forward(time.Second)
		}
		for i := range 4 {
			wantAlive(t, s, fmt.Sprint(i), false)
		}
	})
}

func TestTokensOfAnotherSecretSurvive(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t)
		second := &client.Secret{ID: "second", Hash: []byte(fastHash + "second")}
		if err := s.Clients().AddSecret(ctx, "machine", second, time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.issue(t, "first", s.authenticated(t, "machine"))
		request := s.authenticated(t, "machine")
		client.Of(request.Client).AuthenticatedWith(second.Hash)
		s.issue(t, "second", request)
		if err := s.Clients().RevokeSecret(ctx, "machine", "secret-of-machine"); err != nil {
			t.Fatal(err)
		}
		wantAlive(t, s, "first", false)
		wantAlive(t, s, "second", true)
		// Rotation ends a secret, not the tokens it has brought: 14 days of work would stop at once.
		if err := s.Clients().DeleteSecret(ctx, "machine", "second", false); err != nil {
			t.Fatal(err)
		}
		wantAlive(t, s, "second", true)
	})
}

func TestDisabledClientComesBackWithItsTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t)
		s.issue(t, "token", s.authenticated(t, "machine"))
		for _, status := range []client.Status{client.Disabled, client.Active} {
			if _, err := s.Clients().SetStatus(ctx, "machine", status, 0); err != nil {
				t.Fatal(err)
			}
			wantAlive(t, s, "token", status == client.Active)
		}
	})
}

func TestRevocationBeforeATimeIsExact(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s, start := e.storeWithClients(t, WithClock(clock.now)), clock.now()
		for _, name := range []string{"first", "second", "third"} {
			s.issue(t, name, s.authenticated(t, "machine"))
			clock.forward(time.Minute)
		}
		for _, c := range []struct {
			before time.Time
			alive  [3]bool
		}{
			{start, [3]bool{true, true, true}},
			{start.Add(time.Minute), [3]bool{false, true, true}},
			{start, [3]bool{false, true, true}}, // an earlier time brings nothing back
			{start.Add(time.Minute + time.Nanosecond), [3]bool{false, false, true}},
		} {
			if err := s.RevokeClientBefore(ctx, "machine", c.before); err != nil {
				t.Fatal(err)
			}
			for i, name := range []string{"first", "second", "third"} {
				wantAlive(t, s, name, c.alive[i])
			}
		}
	})
}

func TestRevokingWhatDoesNotExistIsNotFound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t)
		if err := s.Clients().Delete(ctx, "person"); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"an unknown client":                 s.RevokeClient(ctx, "nobody"),
			"a deleted client":                  s.RevokeClient(ctx, "person"),
			"an unknown client, before":         s.RevokeClientBefore(ctx, "nobody", time.Now()),
			"an unknown client that leaked":     s.Clients().ReplaceSecrets(ctx, "nobody", &client.Secret{}),
			"a secret of another client":        s.Clients().RevokeSecret(ctx, "person", "secret-of-machine"),
			"a token nobody has":                s.RevokeTokenID(ctx, "machine", TokenID("never issued")),
			"a token name that is none":         s.RevokeTokenID(ctx, "machine", "%"),
			"an unknown client that is deleted": s.Clients().Delete(ctx, "nobody"),
			"a client that was deleted before":  s.Clients().Delete(ctx, "person"),
		} {
			if err != fosite.ErrNotFound {
				t.Errorf("%s: error = %v, want ErrNotFound", what, err)
			}
		}
		for _, id := range []string{"a\x00b", "a\xffb"} { // PostgreSQL takes neither as text
			_, statusErr := s.Clients().SetStatus(ctx, id, client.Disabled, 0)
			for what, err := range map[string]error{
				"Delete":         s.Clients().Delete(ctx, id),
				"SetStatus":      statusErr,
				"Revoke":         s.Clients().Revoke(ctx, id),
				"RevokeBefore":   s.Clients().RevokeBefore(ctx, id, time.Now()),
				"AddSecret":      s.Clients().AddSecret(ctx, id, &client.Secret{}, time.Time{}),
				"ReplaceSecrets": s.Clients().ReplaceSecrets(ctx, id, &client.Secret{}),
				"RevokeSecret":   s.Clients().RevokeSecret(ctx, id, "secret-of-machine"),
				"RevokeSecret 2": s.Clients().RevokeSecret(ctx, "machine", id),
				"DeleteSecret":   s.Clients().DeleteSecret(ctx, id, "secret-of-machine", true),
				"DeleteSecret 2": s.Clients().DeleteSecret(ctx, "machine", id, false),
			} {
				if err != fosite.ErrNotFound {
					t.Errorf("%s of %q: error = %v, want ErrNotFound", what, id, err)
				}
			}
		}
	})
}

// Whether a client may act is never remembered, however it was changed.
func TestWhetherAClientMayActIsReadEachTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for column, value := range map[string]any{"status": "disabled", "expires_at": 1, "epoch": 7, "revoked_before": int64(1) << 52} {
			t.Run(column, func(t *testing.T) {
				s := e.storeWithClients(t)
				s.issue(t, "token", s.authenticated(t, "machine"))
				wantAlive(t, s, "token", true)
				// By hand: not even the version says that something has changed.
				if _, err := s.db.Run(soon(t), "UPDATE {clients} SET "+column+" = ? WHERE id = 'machine'", value); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s, "token", false)
			})
		}
	})
}
