package provider

import (
	"context"
	"errors"
	"net/url"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/pkce"
)

// grantStore is what a store must be for the grants of people.
type grantStore interface {
	oauth2.CoreStorage
	oauth2.TokenRevocationStorage
	pkce.PKCERequestStorage
}

// fositeStore is the host's store as the grants show it to fosite's handlers. It begins no transaction: the grants do,
// around fosite's steps and theirs. Those transactions may be repeated, and each of fosite's steps may run again.
type fositeStore struct {
	grantStore
	rules grantRules
}

// alreadyReadKey is the context key of the request that a grant has read, and checked, before it calls fosite's handler.
type alreadyReadKey struct{}

// alreadyRead has fosite's handler get request when it reads a code or a refresh token, which costs no statement.
func alreadyRead(ctx context.Context, request fosite.Requester) context.Context {
	return context.WithValue(ctx, alreadyReadKey{}, request)
}

// CreateAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage]. The code expires by our clock.
func (s *fositeStore) CreateAuthorizeCodeSession(ctx context.Context, signature string, request fosite.Requester) error {
	end := clock(s.rules.Now).Add(s.rules.config.GetAuthorizeCodeLifespan(ctx))
	request.GetSession().SetExpiresAt(fosite.AuthorizeCode, end)
	return s.grantStore.CreateAuthorizeCodeSession(ctx, signature, request)
}

// GetAuthorizeCodeSession implements [oauth2.AuthorizeCodeStorage].
func (s *fositeStore) GetAuthorizeCodeSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if request, ok := ctx.Value(alreadyReadKey{}).(fosite.Requester); ok {
		return request, nil
	}
	return s.grantStore.GetAuthorizeCodeSession(ctx, signature, session)
}

// GetRefreshTokenSession implements [oauth2.RefreshTokenStorage].
func (s *fositeStore) GetRefreshTokenSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	if request, ok := ctx.Value(alreadyReadKey{}).(fosite.Requester); ok {
		return request, nil
	}
	return s.grantStore.GetRefreshTokenSession(ctx, signature, session)
}

// GetPKCERequestSession implements [pkce.PKCERequestStorage]. The store may fill the session, which is the code's.
func (s *fositeStore) GetPKCERequestSession(ctx context.Context, signature string, session fosite.Session) (fosite.Requester, error) {
	return s.grantStore.GetPKCERequestSession(ctx, signature, session.Clone())
}

// DeletePKCERequestSession implements [pkce.PKCERequestStorage]. fosite deletes the challenge before it looks at the
// verifier. It goes with the code instead, so that a wrong verifier uses up neither.
func (s *fositeStore) DeletePKCERequestSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession implements [oauth2.RefreshTokenStorage]. A refresh token never gets narrower than its grant,
// which is what request asks for.
func (s *fositeStore) CreateRefreshTokenSession(ctx context.Context, signature, accessSignature string, request fosite.Requester) error {
	return s.grantStore.CreateRefreshTokenSession(ctx, signature, accessSignature, &fosite.Request{
		ID: request.GetID(), RequestedAt: request.GetRequestedAt(), Client: request.GetClient(),
		RequestedScope: request.GetRequestedScopes(), GrantedScope: request.GetRequestedScopes(),
		RequestedAudience: request.GetRequestedAudience(), GrantedAudience: request.GetRequestedAudience(),
		Form: request.GetRequestForm(), Session: request.GetSession(),
	})
}

// storeError is what the store has said where fosite's handlers have wrapped it in a server_error; nil for their refusals.
func storeError(err error) error {
	var wrapped *fosite.RFC6749Error
	if errors.As(err, &wrapped) && wrapped.Is(fosite.ErrServerError) {
		return wrapped.Unwrap()
	}
	return nil
}

// fositeConfig is the host's configuration as the grants of people show it to fosite's handlers.
type fositeConfig struct {
	fosite.Configurator
	resources Resources
}

// GetScopeStrategy implements [fosite.ScopeStrategyProvider]: scopes are compared byte by byte.
func (c fositeConfig) GetScopeStrategy(context.Context) fosite.ScopeStrategy {
	return c.resources.ScopeStrategy
}

// GetAudienceStrategy implements [fosite.AudienceStrategyProvider]: resources are compared byte by byte.
func (fositeConfig) GetAudienceStrategy(context.Context) fosite.AudienceMatchingStrategy {
	return exactAudience
}

// GetRefreshTokenScopes implements [fosite.RefreshTokenScopesProvider]: refresh tokens follow from the client's grant
// types, not from a scope.
func (fositeConfig) GetRefreshTokenScopes(context.Context) []string { return nil }

// GetEnforcePKCE implements [fosite.EnforcePKCEProvider]: no code is redeemed without a verifier (OAuth 2.1 §4.1.3).
func (fositeConfig) GetEnforcePKCE(context.Context) bool { return true }

// GetEnablePKCEPlainChallengeMethod implements [fosite.EnablePKCEPlainChallengeMethodProvider].
func (fositeConfig) GetEnablePKCEPlainChallengeMethod(context.Context) bool { return false }

// GetSanitationWhiteList implements [fosite.SanitationAllowedProvider]: what is stored with a code.
func (fositeConfig) GetSanitationWhiteList(context.Context) []string { return []string{"redirect_uri"} }

// GetRedirectSecureChecker implements [fosite.RedirectSecureCheckerProvider]. A request without a redirect URI has none to
// check: whoever has read it answers in another way.
func (c fositeConfig) GetRedirectSecureChecker(ctx context.Context) func(context.Context, *url.URL) bool {
	check := c.Configurator.GetRedirectSecureChecker(ctx)
	if check == nil {
		check = fosite.IsRedirectURISecure
	}
	return func(ctx context.Context, target *url.URL) bool { return target == nil || check(ctx, target) }
}
