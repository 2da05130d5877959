package storage

import (
	"context"
	"testing"
	"time"

	"github.com/ory/fosite"
)

// grantKind is a way in which fosite stores what one grant leads to.
type grantKind struct {
	name      string
	grantType string
	store     func(ctx context.Context, s *Store, request *fosite.Request) error
}

var grantKinds = []grantKind{
	{"an authorization code", "authorization_code", func(ctx context.Context, s *Store, r *fosite.Request) error {
		if err := s.CreateAuthorizeCodeSession(ctx, "code", r); err != nil {
			return err
		}
		return s.CreateAccessTokenSession(ctx, "access", r)
	}},
	{"an implicit grant", "", func(ctx context.Context, s *Store, r *fosite.Request) error {
		return s.CreateAccessTokenSession(ctx, "access", r)
	}},
	{"a password", "password", func(ctx context.Context, s *Store, r *fosite.Request) error {
		if err := s.CreateAccessTokenSession(ctx, "access", r); err != nil {
			return err
		}
		return s.CreateRefreshTokenSession(ctx, "refresh", "access", r)
	}},
	{"client credentials with a refresh token", "client_credentials", func(ctx context.Context, s *Store, r *fosite.Request) error {
		if err := s.CreateAccessTokenSession(ctx, "access", r); err != nil {
			return err
		}
		return s.CreateRefreshTokenSession(ctx, "refresh", "access", r)
	}},
	{"client credentials", "client_credentials", func(ctx context.Context, s *Store, r *fosite.Request) error {
		return s.CreateAccessTokenSession(ctx, "access", r)
	}},
}

func TestCleaningUpNeverBringsARevokedTokenBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		for _, kind := range grantKinds {
			t.Run(kind.name, func(t *testing.T) {
				request := s.authenticated(t, "machine")
				request.Form.Set("grant_type", kind.grantType)
				for token, lifespan := range map[fosite.TokenType]time.Duration{
					fosite.AuthorizeCode: 10 * time.Minute, fosite.RefreshToken: time.Hour, fosite.AccessToken: 14 * 24 * time.Hour,
				} {
					request.Session.SetExpiresAt(token, clock.now().Add(lifespan))
				}
				if err := kind.store(ctx, s, request); err != nil {
					t.Fatal(err)
				}
				if err := s.RevokeGrant(ctx, request.ID); err != nil {
					t.Fatal(err)
				}
				for range 15 { // days
					wantAccess(t, s, "access", false)
					clock.forward(24 * time.Hour)
					if _, err := s.CleanUp(ctx, CleanUp{Share: 1}); err != nil {
						t.Fatal(err)
					}
				}
				for _, table := range []string{"access_tokens", "refresh_tokens", "authorize_sessions", "grants"} {
					var left int
					if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM {"+table+"}").Scan(&left); err != nil || left != 0 {
						t.Errorf("%s: %d rows left in the end (%v)", table, left, err)
					}
				}
			})
		}
	})
}

func TestUsedCodesAndRotatedTokensAreKnownUntilTheyExpire(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now), WithRefreshGrace(time.Minute))
		request := s.authenticated(t, "machine")
		request.Session.SetExpiresAt(fosite.AuthorizeCode, clock.now().Add(2*time.Hour))
		request.Session.SetExpiresAt(fosite.RefreshToken, clock.now().Add(2*time.Hour))
		s.issue(t, "token", request)
		if err := s.InvalidateAuthorizeCodeSession(ctx, "token"); err != nil {
			t.Fatal(err)
		}
		if err := s.RotateRefreshToken(ctx, request.ID, "token"); err != nil {
			t.Fatal(err)
		}
		clock.forward(time.Hour)
		if _, err := s.CleanUp(ctx, CleanUp{Share: 1}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.GetAuthorizeCodeSession(ctx, "token", nil); err != fosite.ErrInvalidatedAuthorizeCode || got == nil {
			t.Errorf("the used code: %v, %v", got, err)
		}
		if got, err := s.GetRefreshTokenSession(ctx, "token", nil); err != fosite.ErrInactiveToken || got == nil {
			t.Errorf("the rotated token: %v, %v", got, err)
		}
	})
}

func TestRefreshGraceEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now), WithRefreshGrace(time.Minute))
		request := s.authenticated(t, "machine")
		s.issue(t, "token", request)
		if err := s.RotateRefreshToken(ctx, request.ID, "token"); err != nil {
			t.Fatal(err)
		}
		clock.forward(time.Minute - time.Millisecond)
		if _, err := s.GetRefreshTokenSession(ctx, "token", nil); err != nil {
			t.Errorf("at the end of the grace: %v", err)
		}
		if err := s.RotateRefreshToken(ctx, request.ID, "token"); err != nil {
			t.Errorf("at the end of the grace: %v", err) // and this does not prolong it
		}
		clock.forward(time.Millisecond)
		if _, err := s.GetRefreshTokenSession(ctx, "token", nil); err != fosite.ErrInactiveToken {
			t.Errorf("after the grace: %v", err)
		}
		if err := s.RotateRefreshToken(ctx, request.ID, "token"); err != fosite.ErrInactiveToken {
			t.Errorf("after the grace: %v", err)
		}
	})
}

// TestReplicaWithAnotherClockRespectsARotation is about a rotation that, for this replica, lies in the future.
func TestReplicaWithAnotherClockRespectsARotation(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now), WithRefreshGrace(0))
		request := s.authenticated(t, "machine")
		s.issue(t, "token", request)
		if err := s.RotateRefreshToken(ctx, request.ID, "token"); err != nil {
			t.Fatal(err)
		}
		clock.forward(-time.Second)
		if _, err := s.GetRefreshTokenSession(ctx, "token", nil); err != fosite.ErrInactiveToken {
			t.Errorf("get: %v", err)
		}
		if err := s.RotateRefreshToken(ctx, request.ID, "token"); err != fosite.ErrInactiveToken {
			t.Errorf("rotate: %v", err)
		}
	})
}

func TestPKCEChallengeMeetsASecondTry(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t)
		if err := s.CreatePKCERequestSession(ctx, "code", newTestRequest("machine")); err != nil {
			t.Fatal(err)
		}
		if err := s.DeletePKCERequestSession(ctx, "code"); err != nil { // fosite does so before it checks the verifier
			t.Fatal(err)
		}
		if _, err := s.GetPKCERequestSession(ctx, "code", nil); err != nil {
			t.Errorf("the second try: %v", err)
		}
	})
}

func TestRequestOfNobodyInParticularComesBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, options := range map[string][]Option{"own clients": nil, "clients from elsewhere": {WithClients(newClientMap())}} {
			ctx, s := context.Background(), e.store(t, options...)
			request := newTestRequest("") // RFC 7523 §2.1: an assertion without client authentication
			if err := s.CreateAccessTokenSession(ctx, "access", request); err != nil {
				t.Fatal(err)
			}
			got, err := s.GetAccessTokenSession(ctx, "access", nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if client := got.GetClient(); client == nil || client.GetID() != "" || client.GetHashedSecret() != nil {
				t.Errorf("%s: client = %#v", name, client)
			}
		}
	})
}
