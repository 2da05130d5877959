package provider

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

// What the grants change about fosite's handlers, which they embed.

// fosite's handlers count from the clock of the machine, and a server may be given another one.
func TestTokensOfEveryGrantExpireByTheClockThatIsGiven(t *testing.T) {
	now := time.Date(2041, time.March, 1, 12, 0, 0, 0, time.UTC)
	secret := client.NewSecret()
	hash, err := NewSecretHasher().Hash(t.Context(), []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for name, machineRefresh := range map[string]bool{"machines get no refresh tokens": false, "machines get refresh tokens": true} {
		t.Run(name, func(t *testing.T) {
			store := strangersStore()
			store.Clients["ci"] = &fosite.DefaultClient{ID: "ci", Secret: hash, GrantTypes: []string{"client_credentials"}, Scopes: []string{"mcp:search"}, Audience: []string{docs}}
			oauth, err := New(store, Options{
				SystemSecret: []byte(strings.Repeat("s", 32)), Now: func() time.Time { return now }, ClientCredentialsRefresh: machineRefresh,
				AccessTokenLifespan: time.Hour, RefreshTokenLifespan: 2 * time.Hour, AuthorizeCodeLifespan: time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			ends := func(what string, request fosite.Requester, kind fosite.TokenType, in time.Duration) {
				t.Helper()
				if end := request.GetSession().GetExpiresAt(kind); !end.Equal(now.Add(in)) {
					t.Errorf("%s ends at %v, want %v", what, end, now.Add(in))
				}
			}
			issue := func(grant string, form url.Values) (refresh string) {
				t.Helper()
				got, err := tokenRequest(t, oauth, form)
				if err != nil {
					t.Fatalf("%s: %v", grant, err)
				}
				ends("the access token of "+grant, store.AccessTokens[oauth.Strategy.AccessTokenSignature(ctx, got.GetAccessToken())], fosite.AccessToken, time.Hour)
				if in := got.GetExtra("expires_in"); in != int64(3600) {
					t.Errorf("%s: expires_in %v", grant, in)
				}
				refresh, _ = got.GetExtra("refresh_token").(string)
				if refresh != "" {
					ends("the refresh token of "+grant, store.RefreshTokens[oauth.Strategy.RefreshTokenSignature(ctx, refresh)], fosite.RefreshToken, 2*time.Hour)
				}
				return refresh
			}
			machine := url.Values{"grant_type": {"client_credentials"}, "client_id": {"ci"}, "client_secret": {secret}}
			refresh := issue("client_credentials", machine)
			if (refresh != "") != machineRefresh {
				t.Errorf("a machine got the refresh token %q", refresh)
			}
			if machineRefresh { // though it is not registered for that grant
				machine.Set("grant_type", "refresh_token")
				machine.Set("refresh_token", refresh)
				issue("a machine's refresh_token", machine)
			}
			code := strangersCode(t, oauth)
			ends("the code", store.AuthorizeCodes[oauth.Strategy.AuthorizeCodeSignature(ctx, code)], fosite.AuthorizeCode, time.Minute)
			refresh = issue("authorization_code", redemption(code))
			issue("refresh_token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {refresh}})
		})
	}
}

// repeatingStore is a store whose transactions lose once against another one.
type repeatingStore struct{ *storage.MemoryStore }

func (s repeatingStore) Atomically(ctx context.Context, fn func(context.Context) error) error {
	if err := fn(ctx); err != nil {
		return err
	}
	return fn(ctx) // as if what the first attempt did had been undone
}

// fosite adds to an answer as it goes along.
func TestAnAttemptThatIsRepeatedLeavesNoSecondCode(t *testing.T) {
	store := strangersStore()
	oauth, err := New(repeatingStore{store}, Options{SystemSecret: []byte(strings.Repeat("s", 32))})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{
		"client_id": {"app"}, "redirect_uri": {strangersApp}, "response_type": {"code"},
		"code_challenge": {strangersChallenge}, "code_challenge_method": {"S256"},
	}
	request, err := oauth.NewAuthorizeRequest(t.Context(), httptest.NewRequest("GET", "/authorize?"+query.Encode(), nil))
	if err != nil {
		t.Fatal(err)
	}
	response, err := oauth.NewAuthorizeResponse(t.Context(), request, &Session{Subject: "u1"})
	if err != nil {
		t.Fatal(err)
	}
	codes := response.GetParameters()["code"]
	if len(store.AuthorizeCodes) != 2 || len(codes) != 1 {
		t.Fatalf("%d codes in the answer after %d attempts", len(codes), len(store.AuthorizeCodes))
	}
	if _, ok := store.PKCES[oauth.Strategy.AuthorizeCodeSignature(t.Context(), codes[0])]; !ok {
		t.Error("the code has no challenge")
	}
}

// A team may leave open in its fosite.Config what the grants of people need, as fosite's defaults do.
func TestTheGrantsOfPeopleNeedNoHardenedConfig(t *testing.T) {
	store := strangersStore()
	config := &fosite.Config{
		GlobalSecret: []byte(strings.Repeat("g", 32)), EnablePKCEPlainChallengeMethod: true, SanitationWhiteList: []string{"code"},
		ScopeStrategy: fosite.HierarchicScopeStrategy,
	}
	if len(config.GetRefreshTokenScopes(t.Context())) == 0 || config.GetEnforcePKCE(t.Context()) {
		t.Fatal("fosite's defaults are others now; this test needs new ones")
	}
	strategy := compose.NewOAuth2HMACStrategy(config)
	oauth := &Provider{
		OAuth2Provider: compose.Compose(config, store, strategy, AuthorizationCodeFactory(Grants{}), RefreshTokenFactory(Grants{})),
		Authorization:  &AuthorizePolicy{Clients: store},
	}
	code := strangersCode(t, oauth)
	form := redemption(code)
	form.Set("redirect_uri", "https://evil.example.com/")
	if _, err := tokenRequest(t, oauth, form); !errors.Is(err, fosite.ErrInvalidGrant) {
		t.Errorf("another redirect_uri: %v, want invalid_grant", err)
	}
	form.Set("redirect_uri", strangersApp)
	got, err := tokenRequest(t, oauth, form)
	if err != nil {
		t.Fatal(err)
	}
	if refresh, _ := got.GetExtra("refresh_token").(string); refresh == "" {
		t.Error("no refresh token without a scope for it")
	}
	for method, challenge := range map[string]string{"": "", "plain": strangersVerifier} {
		code := strangersCode(t, oauth)
		stored := store.PKCES[strategy.AuthorizeCodeSignature(t.Context(), code)]
		stored.GetRequestForm().Set("code_challenge", challenge)
		stored.GetRequestForm().Set("code_challenge_method", method)
		form := redemption(code)
		if challenge == "" {
			form.Del("code_verifier")
		}
		if _, err := tokenRequest(t, oauth, form); !errors.Is(err, fosite.ErrInvalidGrant) {
			t.Errorf("a code with the challenge %q: %v, want invalid_grant", challenge, err)
		}
		delete(store.PKCES, strategy.AuthorizeCodeSignature(t.Context(), code))
		if _, err := tokenRequest(t, oauth, form); !errors.Is(err, fosite.ErrInvalidGrant) {
			t.Errorf("a code without a challenge: %v, want invalid_grant", err)
		}
	}
	if diff := cmp.Diff(1, len(store.AccessTokens)); diff != "" {
		t.Errorf("access tokens (-want +got):\n%s", diff)
	}
}
