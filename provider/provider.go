package provider

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
)

// Options say what [New] composes. The zero value with a SystemSecret is useful: opaque tokens of 14 days, the scope
// mcp:search, exact resources, PKCE with S256.
type Options struct {
	// SystemSecret is what token keys are derived from: at least 32 random bytes, the same on all replicas.
	SystemSecret []byte
	// PreviousSystemSecrets still validate the tokens made with them.
	PreviousSystemSecrets [][]byte

	Issuer   string // RFC 8414 issuer; an assertion's aud may name it
	TokenURL string // URL of the token endpoint; an assertion's aud may name it

	AccessTokenLifespan   time.Duration
	RefreshTokenLifespan  time.Duration
	AuthorizeCodeLifespan time.Duration

	Scopes    Scopes // nil: DefaultScopes
	Resources Resources
	Hooks     []IntrospectionHook // after the MCP search hook

	Hasher fosite.Hasher              // nil: NewSecretHasher
	Keys   fosite.JWKSFetcherStrategy // nil: NewJWKSFetcher
	Now    func() time.Time           // nil: time.Now
}

// Provider is a composed authorization server. Hand it to handlers.Server.
type Provider struct {
	fosite.OAuth2Provider
	Config   *fosite.Config
	Strategy *TokenStrategy
	// Authenticator authenticates clients; every endpoint uses it.
	Authenticator *ClientAuthenticator
}

// New composes the server on a store, which must implement fosite.Storage and fosite's token storage interfaces.
func New(store fosite.Storage, o Options) (*Provider, error) {
	if o.Scopes == nil {
		o.Scopes = DefaultScopes()
	}
	config := &fosite.Config{
		AccessTokenLifespan:   o.AccessTokenLifespan,
		RefreshTokenLifespan:  o.RefreshTokenLifespan,
		AuthorizeCodeLifespan: o.AuthorizeCodeLifespan,
		AccessTokenIssuer:     o.Issuer,
		IDTokenIssuer:         o.Issuer,
		TokenURL:              o.TokenURL,
		ClientSecretsHasher:   o.Hasher,
		JWKSFetcherStrategy:   o.Keys,
	}
	if err := Harden(config); err != nil {
		return nil, err
	}
	strategy, err := NewTokenStrategy(config, o.SystemSecret, o.PreviousSystemSecrets...)
	if err != nil {
		return nil, err
	}
	if o.Now != nil {
		strategy.now = o.Now
	}
	authenticator := &ClientAuthenticator{
		Store:     store,
		Hasher:    config.ClientSecretsHasher,
		Audiences: audiences(o.Issuer, o.TokenURL),
		Keys:      config.JWKSFetcherStrategy,
		Now:       o.Now,
	}
	config.ClientAuthenticationStrategy = authenticator.Authenticate
	oauth := compose.Compose(config, store, strategy,
		PolicyFactory(o.Resources), // first: it prepares what the grants' own handlers check
		compose.OAuth2ClientCredentialsGrantFactory,
		compose.OAuth2TokenIntrospectionFactory,
		MCPSearchFactory(o.Scopes), // after the core validator
		HookFactory(o.Hooks...),
		RevocationFactory,
	)
	return &Provider{OAuth2Provider: oauth, Config: config, Strategy: strategy, Authenticator: authenticator}, nil
}

// AuthenticateClient tells which client sent r, whose form is form.
func (p *Provider) AuthenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	return p.Authenticator.Authenticate(ctx, r, form)
}

// audiences are the values that an assertion's aud may have. SDKs send the issuer, with and without a slash, and
// the token URL.
func audiences(issuer, tokenURL string) []string {
	list := []string{issuer, issuer + "/", tokenURL}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" || s == "/" })
}
