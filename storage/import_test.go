package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	fositestorage "github.com/ory/fosite/storage"

	"fosite-mcp/storage/storagetest"
)

// oldServer is a host's server on another store, whose live tokens are taken over.
type oldServer struct {
	store *fositestorage.MemoryStore
	fosite.OAuth2Provider
}

// hostConfig is a new one for each server: fosite keeps its handlers in it.
func hostConfig() *fosite.Config {
	return &fosite.Config{GlobalSecret: []byte("the host's secret has thirty-two"), RefreshTokenScopes: []string{}, AccessTokenLifespan: time.Hour}
}

func newOldServer() *oldServer {
	store := fositestorage.NewMemoryStore()
	store.Clients["person"] = &fosite.DefaultClient{
		ID: "person", Public: true, GrantTypes: fosite.Arguments{"password", "refresh_token"}, Scopes: fosite.Arguments{"mcp:search"},
	}
	store.Users["ada"] = fositestorage.MemoryUserRelation{Username: "ada", Password: "lovelace"}
	config := hostConfig()
	return &oldServer{store, compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config),
		//lint:ignore SA1019 old servers have it
		compose.OAuth2ResourceOwnerPasswordCredentialsFactory)}
}

// moved is the same server on store.
func (o *oldServer) moved(store *Store) *newServer {
	config := hostConfig()
	return &newServer{compose.Compose(config, store, compose.NewOAuth2HMACStrategy(config), compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)}
}

// tokens are all that the old server has issued.
func (o *oldServer) tokens() (tokens []ImportedToken) {
	for signature, request := range o.store.AccessTokens {
		tokens = append(tokens, ImportedToken{Kind: fosite.AccessToken, Signature: signature, Request: request})
	}
	for signature, request := range o.store.RefreshTokens {
		access := ""
		for candidate, issued := range o.store.AccessTokens {
			if issued.GetID() == request.GetID() {
				access = candidate
			}
		}
		tokens = append(tokens, ImportedToken{Kind: fosite.RefreshToken, Signature: signature, AccessSignature: access, Request: request})
	}
	return tokens
}

type newServer struct{ fosite.OAuth2Provider }

func post(form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://example.com/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func exchange(p fosite.OAuth2Provider, form url.Values) (access, refresh string, err error) {
	ctx := context.Background()
	form.Set("client_id", "person")
	request, err := p.NewAccessRequest(ctx, post(form), &fosite.DefaultSession{Username: "ada"})
	if err != nil {
		return "", "", err
	}
	request.GrantScope("mcp:search")
	response, err := p.NewAccessResponse(ctx, request)
	if err != nil {
		return "", "", err
	}
	refresh, _ = response.GetExtra("refresh_token").(string)
	return response.GetAccessToken(), refresh, nil
}

func (o *oldServer) login(t *testing.T) (access, refresh string) {
	t.Helper()
	access, refresh, err := exchange(o, url.Values{"grant_type": {"password"}, "username": {"ada"}, "password": {"lovelace"}, "scope": {"mcp:search"}})
	if err != nil || refresh == "" {
		t.Fatalf("refresh token %q, error %v", refresh, err)
	}
	return access, refresh
}

func (n *newServer) refresh(token string) (access, refresh string, err error) {
	return exchange(n, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (n *newServer) wantActive(t *testing.T, what, token string, want bool) {
	t.Helper()
	_, request, err := n.IntrospectToken(context.Background(), token, fosite.AccessToken, &fosite.DefaultSession{})
	if active := err == nil; active != want {
		t.Errorf("%s: active = %v (%v), want %v", what, active, err, want)
		return
	}
	if want && (request.GetSession().GetUsername() != "ada" || !request.GetGrantedScopes().Has("mcp:search") || request.GetClient().GetID() != "person") {
		t.Errorf("%s: it is of %q at %s, for %v", what, request.GetSession().GetUsername(), request.GetClient().GetID(), request.GetGrantedScopes())
	}
}

func TestImportedTokensLiveAsIfTheyHadBeenIssuedHere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx := context.Background()
		old := newOldServer()
		usedAccess, usedRefresh := old.login(t)
		revokedAccess, revokedRefresh := old.login(t)
		endedAccess, endedRefresh := old.login(t)
		for name, options := range map[string][]Option{"own clients": nil, "external clients": {WithClients(old.store)}} {
			t.Run(name, func(t *testing.T) {
				var ago time.Duration
				store := e.contractStore(t, storagetest.Setup{
					Clients: []*fosite.DefaultClient{old.store.Clients["person"].(*fosite.DefaultClient)},
					Now:     func() time.Time { return time.Now().Add(-ago) },
				}, options...)
				ago = time.Hour
				if err := store.RevokeClient(ctx, "person"); err != nil { // before any of them was issued
					t.Fatal(err)
				}
				ago = 0
				for again, want := range []int{6, 0} {
					if n, err := store.ImportTokens(ctx, old.tokens()); err != nil || n != want {
						t.Fatalf("%d: imported %d (%v), want %d", again, n, err, want)
					}
				}
				server := old.moved(store)
				for _, token := range []string{usedAccess, revokedAccess, endedAccess} {
					server.wantActive(t, "after the import", token, true)
				}

				access, refresh, err := server.refresh(usedRefresh)
				if err != nil {
					t.Fatal(err)
				}
				server.wantActive(t, "beside a rotated refresh token", usedAccess, false)
				server.wantActive(t, "after a refresh", access, true)
				if _, _, err := server.refresh(usedRefresh); !errors.Is(err, fosite.ErrInvalidGrant) {
					t.Errorf("second use of a refresh token: error %v, want %v", err, fosite.ErrInvalidGrant)
				}
				server.wantActive(t, "after the reuse", access, false)
				if _, _, err := server.refresh(refresh); err == nil {
					t.Error("the successor of a reused refresh token works")
				}

				if err := server.NewRevocationRequest(ctx, post(url.Values{"client_id": {"person"}, "token": {revokedRefresh}})); err != nil {
					t.Fatal(err)
				}
				server.wantActive(t, "after a revocation", revokedAccess, false)
				if _, _, err := server.refresh(revokedRefresh); err == nil {
					t.Error("a revoked refresh token works")
				}

				if n, err := store.ImportTokens(ctx, old.tokens()); err != nil || n != 0 {
					t.Errorf("imported %d (%v), want none", n, err)
				}
				server.wantActive(t, "imported again after the end", revokedAccess, false)
				server.wantActive(t, "of another grant", endedAccess, true)
				if err := store.RevokeClient(ctx, "person"); err != nil {
					t.Fatal(err)
				}
				server.wantActive(t, "after the client's revocation", endedAccess, false)
				if _, _, err := server.refresh(endedRefresh); err == nil {
					t.Error("a refresh token of a revoked client works")
				}
			})
		}
	})
}

func TestImportOfMoreTokensThanABatch(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := context.Background(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		var tokens []ImportedToken
		for i := range 2*importBatch + 1 {
			request := newTestRequest("machine")
			request.ID, request.RequestedAt = fmt.Sprint("request ", i), clock.now()
			request.Session = &fosite.DefaultSession{}
			request.Form.Set("grant_type", "client_credentials")
			tokens = append(tokens, ImportedToken{Kind: fosite.AccessToken, Signature: fmt.Sprint(i), Request: request, ExpiresAt: clock.now().Add(time.Hour)})
		}
		if n, err := s.ImportTokens(ctx, tokens[:importBatch/2]); err != nil || n != importBatch/2 { // and then it was interrupted
			t.Fatalf("imported %d (%v)", n, err)
		}
		if n, err := s.ImportTokens(ctx, tokens); err != nil || n != len(tokens)-importBatch/2 {
			t.Fatalf("imported %d (%v), want the other %d", n, err, len(tokens)-importBatch/2)
		}
		got, err := s.GetAccessTokenSession(ctx, tokens[len(tokens)-1].Signature, nil)
		if err != nil || !got.GetSession().GetExpiresAt(fosite.AccessToken).Equal(clock.now().Add(time.Hour)) {
			t.Errorf("the last one is %+v (%v), want it with its end", got, err)
		}
		var grants int
		if err := s.db.QueryRow(ctx, "SELECT COUNT(*) FROM {grants}").Scan(&grants); err != nil || grants != 0 {
			t.Errorf("%d grants of machines (%v)", grants, err)
		}
		clock.forward(2 * time.Hour)
		if n, err := s.CleanUp(ctx, CleanUp{}); err != nil || n != int64(len(tokens)) {
			t.Errorf("clean-up took %d (%v), want %d", n, err, len(tokens))
		}
	})
}

func TestImportNamesATokenThatItCannotTake(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		good := ImportedToken{Kind: fosite.AccessToken, Signature: "signature", Request: newTestRequest("machine")}
		for want, spoil := range map[string]func(*ImportedToken){
			"signature": func(token *ImportedToken) { token.Signature = "" },
			"kind":      func(token *ImportedToken) { token.Kind = fosite.AuthorizeCode },
			"request":   func(token *ImportedToken) { token.Request = nil },
			"client":    func(token *ImportedToken) { token.Request = &fosite.Request{} },
		} {
			bad := good
			spoil(&bad)
			n, err := s.ImportTokens(soon(t), []ImportedToken{good, bad})
			if err == nil || !strings.Contains(err.Error(), "token 1") || !strings.Contains(err.Error(), want) || n != 0 {
				t.Errorf("imported %d, error %v, want none and the %s of token 1", n, err, want)
			}
			if _, err := s.GetAccessTokenSession(soon(t), "signature", nil); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("the token beside it: error %v, want %v", err, fosite.ErrNotFound)
			}
		}
	})
}
