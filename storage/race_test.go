package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"

	"fosite-mcp/provider/client"
)

// refreshServer is fosite's own refresh handler on a store whose only client is public.
type refreshServer struct {
	store    *Store
	provider fosite.OAuth2Provider
	tokens   *compose.CommonStrategy
}

func newRefreshServer(t *testing.T, e testEngine, grace time.Duration) *refreshServer {
	t.Helper()
	store := e.store(t, WithRefreshGrace(grace))
	err := store.Clients().Create(context.Background(), &client.Client{
		ID: "public", Scope: []string{"mcp:search"}, GrantTypes: []string{"refresh_token"}, TokenEndpointAuthMethod: "none",
	})
	if err != nil {
		t.Fatal(err)
	}
	config := &fosite.Config{
		GlobalSecret: []byte("0123456789abcdef0123456789abcdef"), AccessTokenLifespan: time.Hour, RefreshTokenLifespan: time.Hour,
		ScopeStrategy: fosite.ExactScopeStrategy, AudienceMatchingStrategy: fosite.DefaultAudienceMatchingStrategy,
		RefreshTokenScopes: []string{}, ClientSecretsHasher: &fosite.BCrypt{}, TokenURL: "https://as.example.com/token",
	}
	strategy := &compose.CommonStrategy{CoreStrategy: compose.NewOAuth2HMACStrategy(config)}
	return &refreshServer{store, compose.Compose(config, store, strategy, compose.OAuth2RefreshTokenGrantFactory), strategy}
}

// login stores what a login leads to, and returns the refresh token.
func (s *refreshServer) login(t *testing.T) (refreshToken, requestID string) {
	t.Helper()
	ctx := context.Background()
	request := newTestRequest("public")
	request.ID = "login-" + rand.Text()
	request.Session.SetExpiresAt(fosite.RefreshToken, time.Now().Add(time.Hour))
	access, accessSignature, err := s.tokens.GenerateAccessToken(ctx, request)
	if err != nil {
		t.Fatal(access, err)
	}
	refreshToken, signature, err := s.tokens.GenerateRefreshToken(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.CreateRefreshTokenSession(ctx, signature, accessSignature, request); err != nil {
		t.Fatal(err)
	}
	return refreshToken, request.ID
}

// refresh is one request to the token endpoint; it returns the successor of the refresh token.
func (s *refreshServer) refresh(refreshToken string) (successor string, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "client_id": {"public"}}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request, err := s.provider.NewAccessRequest(r.Context(), r, &fosite.DefaultSession{})
	if err != nil {
		return "", err
	}
	response, err := s.provider.NewAccessResponse(r.Context(), request)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(response.GetExtra("refresh_token")), nil
}

// wantNoServerError checks that a loser is told so, and not that the server is broken.
func wantNoServerError(t *testing.T, err error) {
	t.Helper()
	var answer *fosite.RFC6749Error
	if !errors.As(err, &answer) || answer.CodeField >= http.StatusInternalServerError {
		t.Errorf("a loser is answered %+v", err)
	}
}

// TestFositeRefreshesUnderFire covers what fosite does beside the rotation: some requests find that the token was used
// before and revoke the whole grant while others are rotating it.
func TestFositeRefreshesUnderFire(t *testing.T) {
	const requests = 16
	rounds := 50
	if testing.Short() {
		rounds = 10
	}
	onEachEngine(t, func(t *testing.T, e testEngine) {
		server, total := newRefreshServer(t, e, 0), 0
		for round := range rounds {
			token, _ := server.login(t)
			successors, errs := make([]string, requests), make([]error, requests)
			var done sync.WaitGroup
			for i := range requests {
				done.Go(func() { successors[i], errs[i] = server.refresh(token) })
			}
			done.Wait()
			winners := 0
			for i, err := range errs {
				if err == nil {
					winners++
					continue
				}
				wantNoServerError(t, errs[i])
			}
			if winners > 1 { // none, when a revocation came first
				t.Fatalf("round %d: %d of %d refreshes succeeded", round, winners, requests)
			}
			total += winners
		}
		if total == 0 {
			t.Error("no refresh ever succeeded")
		}
	})
}

// TestFositeRefreshesWithinTheGraceSucceedUpToItsBound: those beyond it get nothing, and harm nobody.
func TestFositeRefreshesWithinTheGraceSucceedUpToItsBound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		server := newRefreshServer(t, e, time.Hour)
		token, requestID := server.login(t)
		successors, errs := make([]string, 4*graceAnswers), make([]error, 4*graceAnswers)
		var done sync.WaitGroup
		for i := range successors {
			done.Go(func() { successors[i], errs[i] = server.refresh(token) })
		}
		done.Wait()
		var won []string
		for i, err := range errs {
			if err == nil {
				won = append(won, successors[i])
				if _, err := server.store.GetRefreshTokenSession(t.Context(), server.tokens.RefreshTokenSignature(t.Context(), successors[i]), nil); err != nil {
					t.Errorf("a successor is dead: %v", err)
				}
				continue
			}
			wantNoServerError(t, err)
		}
		if len(won) != 1+graceAnswers {
			t.Fatalf("%d of %d refreshes succeeded, want %d", len(won), len(errs), 1+graceAnswers)
		}
		if err := server.store.RevokeGrant(context.Background(), requestID); err != nil {
			t.Fatal(err)
		}
		for _, successor := range won { // one family: one revocation ends them all
			_, err := server.refresh(successor)
			if !errors.Is(err, fosite.ErrInvalidGrant) {
				t.Errorf("a successor after the revocation: %v, want invalid_grant", err)
			}
		}
	})
}

// TestReuseAndRotationTakeLocksInOneOrder lets a revocation for reuse and a rotation meet, each in a transaction of
// fosite's, which nobody runs again after a deadlock.
func TestReuseAndRotationTakeLocksInOneOrder(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := soon(t), e.storeWithClients(t)
		request := newTestRequest("machine")
		s.issue(t, "token", request)
		reuse, err := s.BeginTX(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteRefreshTokenSession(reuse, "token"); err != nil {
			t.Fatal(err)
		}
		rotated := make(chan error, 1)
		go func() {
			rotation, err := s.BeginTX(ctx)
			if err == nil {
				err = errors.Join(s.RotateRefreshToken(rotation, request.ID, "token"), s.Rollback(rotation))
			}
			rotated <- err
		}()
		if s.db.Postgres { // on SQLite it waits for its turn to begin
			eventually(t, "the rotation waits for a lock", func() bool {
				var waiting int
				err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting)
				return err == nil && waiting > 0
			})
		}
		if err := errors.Join(s.RevokeRefreshToken(reuse, request.ID), s.RevokeAccessToken(reuse, request.ID), s.Commit(reuse)); err != nil {
			t.Errorf("the revocation: %v", err)
		}
		if err := <-rotated; !errors.Is(err, fosite.ErrInactiveToken) {
			t.Errorf("the rotation: error = %v, want ErrInactiveToken", err)
		}
		wantAlive(t, s, "token", false)
	})
}
