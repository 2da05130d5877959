package handlers_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"fosite-mcp/storage"

	"github.com/ory/fosite"
)

// brokenGrants is a store of which one step of a code or refresh grant fails.
type brokenGrants struct {
	*storage.Store
	step string
}

func (s *brokenGrants) fails(step string) error {
	if s.step == step {
		return errDisk
	}
	return nil
}

func (s *brokenGrants) GetAuthorizeCodeSession(ctx context.Context, code string, session fosite.Session) (fosite.Requester, error) {
	if err := s.fails("read the code"); err != nil {
		return nil, err
	}
	return s.Store.GetAuthorizeCodeSession(ctx, code, session)
}

func (s *brokenGrants) GetPKCERequestSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if err := s.fails("read the challenge"); err != nil {
		return nil, err
	}
	return s.Store.GetPKCERequestSession(ctx, signature, session)
}

func (s *brokenGrants) InvalidateAuthorizeCodeSession(ctx context.Context, code string) error {
	if err := s.fails("use up the code"); err != nil {
		return err
	}
	return s.Store.InvalidateAuthorizeCodeSession(ctx, code)
}

func (s *brokenGrants) CreateAccessTokenSession(ctx context.Context, signature string, r fosite.Requester) error {
	if err := s.fails("store the access token"); err != nil {
		return err
	}
	return s.Store.CreateAccessTokenSession(ctx, signature, r)
}

func (s *brokenGrants) CreateRefreshTokenSession(ctx context.Context, signature, access string, r fosite.Requester) error {
	if err := s.fails("store the refresh token"); err != nil {
		return err
	}
	return s.Store.CreateRefreshTokenSession(ctx, signature, access, r)
}

func (s *brokenGrants) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if err := s.fails("read the refresh token"); err != nil {
		return nil, err
	}
	return s.Store.GetRefreshTokenSession(ctx, signature, session)
}

func (s *brokenGrants) RotateRefreshToken(ctx context.Context, id, signature string) error {
	if err := s.fails("rotate"); err != nil {
		return err
	}
	return s.Store.RotateRefreshToken(ctx, id, signature)
}

func (s *brokenGrants) RevokeReused(ctx context.Context, action string, grant fosite.Requester, signature string) (bool, error) {
	if err := s.fails("revoke"); err != nil {
		return false, err
	}
	return s.Store.RevokeReused(ctx, action, grant, signature)
}

// An outage in the middle of a grant is 503, uses nothing up, and is never taken for a wrong code or a done revocation.
func TestAnOutageInTheMiddleOfAGrantChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		steps   []string
		request func(f *fixture) *request
		works   bool // afterwards the same request
	}{
		"redeeming a code": {
			[]string{"read the code", "read the challenge", "use up the code", "store the access token", "store the refresh token"},
			func(f *fixture) *request { return redeem(f.code()) }, true,
		},
		"refreshing": {
			[]string{"read the refresh token", "rotate", "store the access token", "store the refresh token"},
			func(f *fixture) *request { return refresh(f.login().refresh) }, true,
		},
		"redeeming a used code": {
			[]string{"revoke"},
			func(f *fixture) *request {
				r := redeem(f.code())
				f.tokens(r)
				return r
			}, false,
		},
		"using a used refresh token": {
			[]string{"revoke"},
			func(f *fixture) *request {
				r := refresh(f.login().refresh)
				f.tokens(r)
				f.clock = f.clock.Add(2 * time.Minute)
				return r
			}, false,
		},
	} {
		for _, step := range c.steps {
			t.Run(name+": cannot "+step, func(t *testing.T) {
				f := newFixture(t)
				f.app("app")
				r := c.request(f)
				f.serve(&brokenGrants{f.store, step})
				a := f.do(r)
				if a.status != http.StatusServiceUnavailable || a.json["error"] != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
					t.Errorf("got %d %s, want 503 temporarily_unavailable with Retry-After", a.status, a.text)
				}
				f.serve(f.store)
				if a := f.do(r); (a.status == http.StatusOK) != c.works || !c.works && a.json["error"] != "invalid_grant" {
					t.Errorf("afterwards: %d %s, must work: %v", a.status, a.text, c.works)
				}
			})
		}
	}
}

func TestAMachineGetsNoHalfAnswerWhenItsRefreshTokenCannotBeStored(t *testing.T) {
	f := newFixture(t, withMachineRefresh)
	secret := f.client("ci")
	f.serve(&brokenGrants{f.store, "store the refresh token"})
	a := f.do(post("/token", "grant_type", "client_credentials").basic("ci", secret))
	if a.status != http.StatusServiceUnavailable || a.json["access_token"] != nil {
		t.Errorf("got %d %s, want 503", a.status, a.text)
	}
}
