package provider

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"

	"fosite-mcp/provider/client"
)

// Options say what [New] composes. The zero value with a SystemSecret is useful: opaque tokens of 14 days, the scope
// mcp:search, exact resources, PKCE with S256.
type Options struct {
	// SystemSecret is what token keys are derived from: at least 32 random bytes, the same on all replicas.
	SystemSecret []byte
	// PreviousSystemSecrets still validate the tokens made with them.
	PreviousSystemSecrets [][]byte
	// OnMissingSecret is told about each token of this server that was made with a secret which is missing here; nil:
	// nobody. Its bearer has got an outage for an answer.
	OnMissingSecret func(ctx context.Context, kind fosite.TokenType)

	Issuer   string // RFC 8414 issuer; an assertion's aud may name it
	TokenURL string // URL of the token endpoint; an assertion's aud may name it
	// AssertionIssuerOnly leaves Issuer as the only aud of client assertions: without a slash, and not TokenURL.
	AssertionIssuerOnly bool

	AccessTokenLifespan   time.Duration
	RefreshTokenLifespan  time.Duration // of one refresh token, counted from its issue; 0: 90 days
	AuthorizeCodeLifespan time.Duration // 0: a minute
	// PersonTokenLifespan is that of people's access tokens; 0: AccessTokenLifespan.
	PersonTokenLifespan time.Duration
	// RefreshAbsoluteLifespan ends a grant with all its tokens, counted from the login, however often it is
	// refreshed; 0: a year.
	RefreshAbsoluteLifespan time.Duration
	// GroupsMaxAge is how long the groups of a person count after they were looked up at the login, see [Grants]; 0: as long
	// as the grant.
	GroupsMaxAge time.Duration
	// ClientCredentialsRefresh issues refresh tokens to machines as well, which RFC 6749 §4.4.3 advises against.
	ClientCredentialsRefresh bool

	// JWT makes access tokens for some resources JWTs; nil: all tokens are opaque.
	JWT *JWTAccessTokens

	Scopes    Scopes // nil: DefaultScopes
	Resources Resources
	Hooks     []IntrospectionHook // after the MCP search hook

	// Reused is told of each use of a code or refresh token that was used before, see [Grants]; nil: nobody.
	Reused func(ctx context.Context, action string, grant fosite.Requester, signature string, ended bool)

	// AllowWorkload limits the tokens that workloads get for assertions, see [Grants]; nil: there is no limit.
	AllowWorkload func(ctx context.Context, ruleID, subject string) error
	// AssertionRefused is told of each assertion that was not exchanged for a token. Its error is the answer in place of
	// invalid_grant. nil: nobody.
	AssertionRefused func(ctx context.Context, refused RefusedAssertion) error

	// Authentication goes around the authentication of clients, at every endpoint: to limit it, and to put failures on record.
	// A failure is a [RefusedClient]. nil: nothing goes around it.
	Authentication func(fosite.ClientAuthenticationStrategy) fosite.ClientAuthenticationStrategy

	// Documents knows clients by their metadata documents; nil: it takes a registration to be a client.
	Documents *ClientDocuments
	// TrustedRedirectHosts are the hosts of [AuthorizePolicy.TrustedHosts].
	TrustedRedirectHosts []string

	Hasher fosite.Hasher              // nil: NewSecretHasher
	Keys   fosite.JWKSFetcherStrategy // nil: NewJWKSFetcher
	Now    func() time.Time           // nil: time.Now
}

// Provider is a composed authorization server. Hand it to handlers.Server.
type Provider struct {
	fosite.OAuth2Provider
	Config   *fosite.Config
	Strategy *TokenStrategy
	// Authenticator authenticates clients. The endpoints use it by way of Config.ClientAuthenticationStrategy.
	Authenticator *ClientAuthenticator
	// Authorization reads authorization requests.
	Authorization *AuthorizePolicy
}

// New composes the server on a store, which must implement fosite.Storage and fosite's storage interfaces for tokens,
// codes, PKCE and revocation.
func New(store fosite.Storage, o Options) (*Provider, error) {
	if _, ok := store.(grantStore); !ok {
		return nil, fmt.Errorf("provider: the store %T lacks a storage interface of fosite: oauth2.CoreStorage, oauth2.TokenRevocationStorage and pkce.PKCERequestStorage are needed", store)
	}
	o.fillScopes()
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
	if _, err := Harden(config); err != nil {
		return nil, err
	}
	if len(o.Resources.Includes) > 0 {
		config.ScopeStrategy = o.Resources.ScopeStrategy
	}
	strategy, err := NewTokenStrategy(config, o.SystemSecret, o.PreviousSystemSecrets...)
	if err != nil {
		return nil, err
	}
	if o.Now != nil {
		strategy.now = o.Now
	}
	if o.OnMissingSecret != nil {
		strategy.onMissingSecret = o.OnMissingSecret
	}
	if o.JWT != nil {
		j := *o.JWT
		j.Issuer = cmp.Or(j.Issuer, o.Issuer)
		if err := strategy.UseJWT(j); err != nil {
			return nil, err
		}
	}
	authenticator := &ClientAuthenticator{
		Store:     store,
		Hasher:    config.ClientSecretsHasher,
		Audiences: o.assertionAudiences(),
		Keys:      config.JWKSFetcherStrategy,
		Documents: o.Documents,
		Now:       o.Now,
	}
	config.ClientAuthenticationStrategy = authenticator.Authenticate
	if o.Authentication != nil {
		config.ClientAuthenticationStrategy = o.Authentication(authenticator.Authenticate)
	}
	return &Provider{
		OAuth2Provider: compose.Compose(config, store, strategy, factories(store, o)...),
		Config:         config,
		Strategy:       strategy,
		Authenticator:  authenticator,
		Authorization: &AuthorizePolicy{
			Clients: store, Resources: o.Resources, Documents: o.Documents, TrustedHosts: o.TrustedRedirectHosts, Now: o.Now,
		},
	}, nil
}

// fillScopes takes the scope mcp:search where none is given, and what scopes include from what they mean.
func (o *Options) fillScopes() {
	if o.Scopes == nil {
		o.Scopes = DefaultScopes()
	}
	if o.Resources.Includes == nil {
		o.Resources.Includes = o.Scopes.includes()
	}
}

// factories lists what the server consists of. fosite asks the three that introspect in this order.
func factories(store fosite.Storage, o Options) []compose.Factory {
	grants := Grants{
		Resources:           o.Resources,
		AccessTokenLifespan: o.PersonTokenLifespan,
		AbsoluteLifespan:    o.RefreshAbsoluteLifespan,
		GroupsMaxAge:        o.GroupsMaxAge,
		MachineRefresh:      o.ClientCredentialsRefresh,
		Reused:              o.Reused,
		AllowWorkload:       o.AllowWorkload,
		AssertionRefused:    o.AssertionRefused,
		Now:                 o.Now,
	}
	hooks := append([]IntrospectionHook{MCPSearchHook(o.Scopes), GroupsHook(o.GroupsMaxAge, o.Now)}, o.Hooks...)
	if o.Documents != nil {
		hooks = append(hooks, o.Documents.hook)
	}
	all := []compose.Factory{
		ClientCredentialsFactory(grants),
		AuthorizationCodeFactory(grants),
		RefreshTokenFactory(grants),
		MissingSecretFactory, // before the core validator
		compose.OAuth2TokenIntrospectionFactory,
		hookFactory(o.Resources, hooks...), // after the core validator
		RevocationFactory,
	}
	if _, ok := store.(IssuerRuleStore); ok {
		all = append(all, JWTBearerFactory(grants))
	}
	return all
}

// NewAccessRequest implements [fosite.OAuth2Provider]. A client of a metadata document that comes with an enterprise's word for the
// first time is stored first.
func (p *Provider) NewAccessRequest(ctx context.Context, r *http.Request, session fosite.Session) (fosite.AccessRequester, error) {
	ctx = WithoutClient(ctx, r)
	if documents := p.Authorization.Documents; documents != nil && r.PostForm.Get("grant_type") == client.JWTBearer && !isWithoutClient(ctx) {
		if err := p.meet(ctx, documents, r.PostForm.Get("assertion")); err != nil {
			return fosite.NewAccessRequest(session), err
		}
	}
	return p.OAuth2Provider.NewAccessRequest(ctx, r, session)
}

// NewAuthorizeRequest implements [fosite.OAuth2Provider] by [AuthorizePolicy].
func (p *Provider) NewAuthorizeRequest(ctx context.Context, r *http.Request) (fosite.AuthorizeRequester, error) {
	return p.Authorization.NewAuthorizeRequest(ctx, r)
}

// NewAuthorizeResponse implements [fosite.OAuth2Provider]. The client of a metadata document is stored first.
func (p *Provider) NewAuthorizeResponse(ctx context.Context, request fosite.AuthorizeRequester, session fosite.Session) (fosite.AuthorizeResponder, error) {
	if documents := p.Authorization.Documents; documents != nil {
		if err := documents.Keep(ctx, request.GetClient()); err != nil {
			return nil, err
		}
	}
	return p.OAuth2Provider.NewAuthorizeResponse(ctx, request, session)
}

// ReadsMetadataDocuments implements handlers.DocumentsProvider.
func (p *Provider) ReadsMetadataDocuments() bool { return p.Authorization.Documents != nil }

// AuthMethods implements handlers.AuthMethodsProvider.
func (p *Provider) AuthMethods() []string { return p.Authenticator.AuthMethods() }

// ChecksAuthorizationRequests implements handlers.AuthorizationChecker.
func (p *Provider) ChecksAuthorizationRequests() {}

// AuthenticateClient tells which client sent r, whose form is form.
func (p *Provider) AuthenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	return p.Config.ClientAuthenticationStrategy(ctx, r, form)
}

// assertionAudiences are the values that aud of a client's assertion may have.
func (o *Options) assertionAudiences() []string {
	if o.AssertionIssuerOnly && o.Issuer != "" {
		return []string{o.Issuer}
	}
	return audiences(o.Issuer, o.TokenURL)
}

// audiences are the values that an assertion's aud may have. SDKs send the issuer, with and without a slash, and
// the token URL.
func audiences(issuer, tokenURL string) []string {
	list := []string{issuer, issuer + "/", tokenURL}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" || s == "/" })
}
