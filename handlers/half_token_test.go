package handlers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"
)

// strategies are those that a team with a composition of its own may bring. With all but ours the signature by which
// a store finds a token is a part of the token.
var strategies = map[string]func(config *fosite.Config, ours *provider.TokenStrategy) oauth2.CoreStrategy{
	"ours": func(_ *fosite.Config, ours *provider.TokenStrategy) oauth2.CoreStrategy { return ours },
	"fosite's, prefixed": func(c *fosite.Config, _ *provider.TokenStrategy) oauth2.CoreStrategy {
		return compose.NewOAuth2HMACStrategy(c)
	},
	"fosite's, not prefixed": func(c *fosite.Config, _ *provider.TokenStrategy) oauth2.CoreStrategy {
		return compose.NewOAuth2HMACStrategy(c).HMACSHAStrategyUnPrefixed
	},
	"a team's own, for each client": func(c *fosite.Config, _ *provider.TokenStrategy) oauth2.CoreStrategy {
		return ownStrategy{compose.NewOAuth2HMACStrategy(c)}
	},
}

// ownStrategy asks what its tokens were issued for, as fosite lets it.
type ownStrategy struct{ oauth2.CoreStrategy }

func (s ownStrategy) ValidateAuthorizeCode(ctx context.Context, r fosite.Requester, token string) error {
	if r.GetClient().GetID() != "app" || r.GetSession().GetSubject() != "u1" {
		return fosite.ErrTokenClaim
	}
	return s.CoreStrategy.ValidateAuthorizeCode(ctx, r, token)
}

func (s ownStrategy) ValidateRefreshToken(ctx context.Context, r fosite.Requester, token string) error {
	if r.GetClient().GetID() != "app" {
		return fosite.ErrTokenClaim
	}
	return s.CoreStrategy.ValidateRefreshToken(ctx, r, token)
}

// withStrategy composes the endpoints anew, as a team does, on the fixture's store.
func (f *fixture) withStrategy(make func(*fosite.Config, *provider.TokenStrategy) oauth2.CoreStrategy) {
	config := *f.oauth.Config
	config.GlobalSecret = []byte(strings.Repeat("g", 32))
	// Compose adds to what is there.
	config.AuthorizeEndpointHandlers, config.TokenEndpointHandlers, config.TokenIntrospectionHandlers, config.RevocationHandlers = nil, nil, nil, nil
	grants := provider.Grants{Resources: provider.Resources{Known: []string{docs, other}, Default: docs}, Now: func() time.Time { return f.clock }}
	f.oauth.OAuth2Provider = compose.Compose(&config, f.store, make(&config, f.oauth.Strategy),
		provider.ClientCredentialsFactory(grants), provider.AuthorizationCodeFactory(grants), provider.RefreshTokenFactory(grants),
		compose.OAuth2TokenIntrospectionFactory, provider.RevocationFactory)
}

// forgeries are made by somebody who knows the second half of token: from a log, say, or from the database.
func forgeries(token, another string) map[string]string {
	dot := strings.LastIndex(token, ".")
	prefix := regexp.MustCompile(`^([a-z]+_[a-z]{2}_)?`).FindString(token)
	half := token[dot:]
	first := []byte(token[:dot])
	first[dot-5] ^= 1
	return map[string]string{
		"a first half of their own": prefix + strings.Repeat("A", dot-len(prefix)) + half,
		"a changed first half":      string(first) + half,
		"another token's":           another[:strings.LastIndex(another, ".")] + half,
		"a short first half":        prefix + "AAAA" + half,
		"an empty first half":       prefix + half,
		"no prefix":                 "x" + half,
	}
}

// RFC 9700 §4.14.2 ends a grant when one of its tokens comes twice. Half a token is none.
func TestHalfATokenEndsNothing(t *testing.T) {
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			onEveryEngine(t, func(t *testing.T, f *fixture) {
				f.withStrategy(strategy)
				f.app("app")
				code, anotherCode := f.code(), f.code()
				first := f.tokens(redeem(code))
				another := f.tokens(redeem(anotherCode))
				live := f.tokens(refresh(first.refresh))
				f.clock = f.clock.Add(10 * time.Minute) // the code has expired, and so has the refresh token's grace
				alive := func() bool {                  // whatever endpoint is told
					a := f.do(refresh(live.refresh))
					live.refresh, _ = a.json["refresh_token"].(string)
					return a.status == 200
				}
				for how, forged := range forgeries(code, anotherCode) {
					if a := f.do(redeem(forged)); a.json["error"] != "invalid_grant" || !alive() {
						t.Fatalf("a used code with %s: %s", how, a.text)
					}
				}
				for how, forged := range forgeries(first.refresh, another.refresh) {
					if a := f.do(refresh(forged)); a.json["error"] != "invalid_grant" || !alive() {
						t.Fatalf("a rotated refresh token with %s: %s", how, a.text)
					}
					if a := f.do(post("/revoke", "client_id", "app", "token", forged)); a.status != 200 || !alive() {
						t.Fatalf("a revocation of a refresh token with %s: %d %s", how, a.status, a.text)
					}
				}
				for how, forged := range forgeries(first.access, another.access) {
					if a := f.do(post("/revoke", "client_id", "app", "token", forged)); a.status != 200 || !alive() {
						t.Fatalf("a revocation of an access token with %s: %d %s", how, a.status, a.text)
					}
				}
			})
		})
	}
}

// The whole token does, however old it is, as long as the store knows it.
func TestAWholeUsedTokenEndsTheGrantWhateverTheStrategy(t *testing.T) {
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			onEveryEngine(t, func(t *testing.T, f *fixture) {
				f.withStrategy(strategy)
				f.app("app")
				for what, use := range map[string]func(code string, first tokens) *request{
					"code":          func(code string, _ tokens) *request { return redeem(code) },
					"refresh token": func(_ string, first tokens) *request { return refresh(first.refresh) },
					"revoked refresh token": func(_ string, first tokens) *request {
						return post("/revoke", "client_id", "app", "token", first.refresh)
					},
					"revoked access token": func(_ string, first tokens) *request {
						return post("/revoke", "client_id", "app", "token", first.access)
					},
				} {
					code := f.code()
					first := f.tokens(redeem(code))
					second := f.tokens(refresh(first.refresh))
					f.clock = f.clock.Add(10 * time.Minute)
					f.do(use(code, first))
					if a := f.do(refresh(second.refresh)); a.json["error"] != "invalid_grant" {
						t.Errorf("%s: the grant outlived it: %s", what, a.text)
					}
				}
			})
		})
	}
}

// A JWT is found by its signature as well: a header and claims of somebody's own before it revoke nothing.
func TestHalfAJWTRevokesNothing(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		client, err := f.store.GetClient(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("g", 32))}
		strategy := compose.NewOAuth2JWTStrategy(func(context.Context) (any, error) { return key, nil }, compose.NewOAuth2HMACStrategy(config), config)
		handler := provider.RevocationFactory(config, f.store, strategy).(fosite.RevocationHandler)
		var issued []string
		for range 2 {
			session := &oauth2.JWTSession{JWTClaims: &jwt.JWTClaims{Subject: "u1"}, JWTHeader: &jwt.Headers{}}
			session.SetExpiresAt(fosite.AccessToken, time.Now().Add(time.Hour))
			request := fosite.NewRequest()
			request.Client, request.Session = client, session
			token, signature, err := strategy.GenerateAccessToken(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.store.CreateAccessTokenSession(t.Context(), signature, request); err != nil {
				t.Fatal(err)
			}
			issued = append(issued, token)
		}
		revoke := func(token string) (dead bool) {
			if err := handler.RevokeToken(t.Context(), token, fosite.AccessToken, client); err != nil {
				t.Fatal(err)
			}
			_, err := f.store.GetAccessTokenSession(t.Context(), strategy.AccessTokenSignature(t.Context(), issued[0]), nil)
			return errors.Is(err, fosite.ErrNotFound)
		}
		signature := issued[0][strings.LastIndex(issued[0], "."):]
		for _, forged := range []string{
			issued[1][:strings.LastIndex(issued[1], ".")] + signature, "x.y" + signature, "." + signature, "eyJhbGciOiJub25lIn0.e30" + signature,
		} {
			if revoke(forged) {
				t.Fatalf("%s has revoked another token", forged)
			}
		}
		if !revoke(issued[0]) {
			t.Error("the token itself is alive")
		}
	})
}
