package authserver

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"fosite-mcp/cmd/internal/observe"
	"fosite-mcp/config"
	"fosite-mcp/handlers"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/handlers/admin/console"
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/handlers/failures"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/ory/fosite"
)

// parts are what the endpoints of both listeners are made of.
type parts struct {
	cfg      config.Config // resolved
	log      *slog.Logger
	store    *storage.Store
	secrets  systemSecrets
	observer *observe.Observer
	limits   *limits
	recorder *failures.Recorder
	keys     *provider.SigningKeys
	oauth    *provider.Provider
	end      *ending
	clock    *clock
	about    []console.Fact // for the overview of the admin console
}

// makeProvider makes the recorder of failed attempts, which counts what it records, and the OAuth provider with the
// configured settings.
func (p *parts) makeProvider(hasher fosite.Hasher) (err error) {
	p.recorder = failures.NewRecorder(p.store, p.log, nil)
	p.recorder.Counted = p.observer.CountEvent
	cfg := p.cfg
	var tokens fosite.Storage = p.store
	if cfg.Audit.IssuedTokens {
		tokens = storage.AuditedTokens{Store: p.store}
	}
	documents, err := p.documents()
	if err != nil {
		return err
	}
	p.oauth, err = provider.New(tokens, provider.Options{
		SystemSecret:          p.secrets.current,
		PreviousSystemSecrets: p.secrets.previous,
		OnMissingSecret:       p.observer.CountMissingSecret,
		Reused:                p.recorder.Reused,
		AllowWorkload:         p.limits.workload,
		AssertionRefused: func(ctx context.Context, refused provider.RefusedAssertion) error {
			p.recorder.AssertionRefused(ctx, refused.RuleID, refused.Issuer, refused.Subject, refused.Reason)
			return p.limits.assertionFailed(ctx)
		},
		Issuer:                   cfg.Issuer,
		TokenURL:                 cfg.Endpoint("token"),
		AssertionIssuerOnly:      cfg.Tokens.AssertionAudience == config.AudienceIssuer,
		AccessTokenLifespan:      cfg.Tokens.AccessLifespan,
		RefreshTokenLifespan:     cfg.Tokens.RefreshLifespan,
		RefreshAbsoluteLifespan:  cfg.Tokens.RefreshAbsoluteLifespan,
		AuthorizeCodeLifespan:    cfg.Tokens.CodeLifespan,
		GroupsMaxAge:             cfg.Login.GroupsMaxAge,
		ClientCredentialsRefresh: cfg.Tokens.ClientCredentialsRefresh,
		JWT:                      &provider.JWTAccessTokens{Keys: p.keys, For: cfg.WantsJWT},
		Scopes:                   scopes(cfg),
		Resources:                resources(cfg),
		Authentication: func(next fosite.ClientAuthenticationStrategy) fosite.ClientAuthenticationStrategy {
			return p.limits.authenticate(p.recorder.Watch(next))
		},
		Hasher:    hasher,
		Documents: documents, TrustedRedirectHosts: cfg.Registration.RedirectHosts,
		Keys: provider.NewJWKSFetcher(provider.JWKSFetcherOptions{InsecureAllowPrivateAddresses: cfg.Registration.InsecureAllowPrivateAddresses}),
	})
	return err
}

// signedIntrospection signs answers where there are keys; nil: nowhere.
func (p *parts) signedIntrospection() *handlers.SignedIntrospection {
	if !p.cfg.IssuesJWT() {
		return nil
	}
	return &handlers.SignedIntrospection{Sign: p.keys.SignIntrospection, Algorithms: provider.SigningAlgorithms()}
}

// registration lets clients register themselves.
func (p *parts) registration() *handlers.Registration {
	return &handlers.Registration{
		Clients:            p.store.Clients(),
		Rules:              dynamicRules(p.cfg),
		Endpoint:           p.cfg.Endpoint("register"),
		InitialAccessToken: p.cfg.Registration.InitialAccessToken.Reveal(),
		MaxUnused:          p.cfg.Registration.MaxUnused,
		Allow:              p.limits.registration,
	}
}

// documents knows clients by their metadata documents; nil: nobody does.
func (p *parts) documents() (*provider.ClientDocuments, error) {
	cfg := p.cfg
	if !cfg.Registration.MetadataDocuments || len(cfg.Login.Methods) == 0 {
		return nil, nil
	}
	options := provider.DocumentOptions{
		Store:       p.store.Clients(),
		Rules:       dynamicRules(cfg),
		Hosts:       cfg.Registration.DocumentHosts,
		DeniedHosts: cfg.Registration.DeniedHosts,
		Log:         p.log,

		InsecureAllowPrivateAddresses: cfg.Registration.InsecureAllowPrivateAddresses,
	}
	if !cfg.BehindProxy || cfg.ClientIPHeader != "" { // otherwise everybody has the proxy's address, and one could use up the limit of all
		options.Allow = p.limits.document
	}
	return provider.NewClientDocuments(options)
}

// dynamicRules say what clients may say of themselves.
func dynamicRules(cfg config.Config) client.DynamicRules {
	return client.DynamicRules{
		Rules: ClientRules(cfg), RedirectHosts: cfg.Registration.RedirectHosts, RedirectSchemes: cfg.Registration.RedirectSchemes,
	}
}

// routers makes the provider, and what both listeners serve with it.
func (p *parts) routers(hasher fosite.Hasher) (public, admin *front, err error) {
	if err = p.makeProvider(hasher); err != nil {
		return nil, nil, err
	}
	if public, err = p.publicRouter(); err != nil {
		return nil, nil, err
	}
	admin, err = p.adminRouter()
	return public, admin, err
}

// publicRouter serves the OAuth endpoints, login and consent, metadata and health.
func (p *parts) publicRouter() (*front, error) {
	cfg, oauth := p.cfg, p.oauth
	root := newRouter()
	root.Use(newHosts(publicHosts(cfg), p.log, handlers.Misdirected).middleware)
	if cfg.RateLimits.AddressPerHour > 0 {
		root.Use(p.limits.middleware)
	}
	p.health().Mount(root)

	revocations, err := p.revocations()
	if err != nil {
		return nil, err
	}
	below := root.PathPrefix(cfg.BasePath).Subrouter()
	endpoints := &handlers.Server{
		Provider:    oauth,
		NewSession:  func() fosite.Session { return provider.NewSession() },
		Issuer:      cfg.Issuer,
		ForwardAuth: &handlers.ForwardAuth{Resources: resourceIdentifiers(cfg), Default: cfg.DefaultResource},
		TokenID: func(ctx context.Context, token string) string { // called for active tokens only
			id := storage.TokenID(oauth.Strategy.AccessTokenSignature(ctx, token))
			p.store.TokenUsed(id)
			return id
		},
		ReadAhead: func(ctx context.Context, token string) context.Context {
			ctx, signature := oauth.Strategy.WithToken(ctx, token)
			return storage.ReadAhead(ctx, signature)
		},
		PublicKeys:  p.keys.PublicKeys,
		Revocations: revocations,
		Log:         p.log,

		SignedIntrospection: p.signedIntrospection(),
	}
	people, err := p.newLogin()
	if err != nil {
		return nil, err
	}
	if people != nil {
		people.Mount(below)
		endpoints.Login = people
		endpoints.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, err *fosite.RFC6749Error) {
			people.ErrorPage(w, r, status, err)
		}
		p.limits.page = endpoints.ErrorPage
		if cfg.Registration.Enabled {
			endpoints.Registration = p.registration()
		}
	}
	if err := errors.Join(endpoints.Mount(below), handlers.MountWellKnown(root, p.metadata(cfg, endpoints))); err != nil {
		return nil, err
	}
	root.NewRoute().Handler(handlers.NotFound())
	public, err := p.newFront(root, clientaddr.FromHeader(cfg.ClientIPHeader))
	public.unhurried = cfg.BasePath + "/revocations"
	return public, err
}

// adminRouter serves the admin API, metrics and health.
func (p *parts) adminRouter() (*front, error) {
	cfg, oauth := p.cfg, p.oauth
	root := newRouter()
	root.Handle("/metrics", handlers.Reading(p.observer.Metrics().ServeHTTP))
	health := p.health()
	health.Detail = p.clock.detail
	health.Mount(root)
	replayKey, previousReplayKeys := p.secrets.keys("idempotency replay")
	checkpointKey, previousCheckpointKeys := p.secrets.keys(checkpointPurpose)
	api := &admin.API{
		Store:                 p.store,
		NewSecret:             client.NewSecret,
		Hasher:                oauth.Config.ClientSecretsHasher,
		AccessTokenSignature:  oauth.Strategy.AccessTokenSignature,
		RefreshTokenSignature: oauth.Strategy.RefreshTokenSignature,
		Rules:                 ClientRules(cfg),
		Narrow:                resources(cfg).Narrow,
		UnverifiedSignature:   oauth.Strategy.UnverifiedSignature,
		OnMissingSecret:       p.observer.CountMissingSecret,
		ReplayKey:             replayKey,
		PreviousReplayKeys:    previousReplayKeys,
		CheckpointKey:         checkpointKey, PreviousCheckpointKeys: previousCheckpointKeys,
		Failures: limit.New[netip.Prefix]("address-failures", cfg.RateLimits.AddressFailuresPerMinute, time.Minute, nil),
		Recorder: p.recorder,
		Log:      p.log,
	}
	api.Failures.Refused = p.observer.CountLimited("admin-failures")
	root.Use(newHosts(append(listenerHosts(cfg, cfg.Admin.Listen), hostOf(cfg.Admin.ConsoleURL)), p.log, api.Misdirected).middleware)
	if err := api.Mount(root.PathPrefix("/admin/v1").Subrouter()); err != nil {
		return nil, err
	}
	if err := p.mountConsole(root, api); err != nil {
		return nil, err
	}
	root.NewRoute().Handler(api.NotFound())
	return p.newFront(root, clientaddr.Peer)
}

func scopes(cfg config.Config) provider.Scopes {
	all := provider.Scopes{}
	for name, scope := range cfg.Scopes {
		all[name] = provider.Scope{Description: scope.Description, Tools: scope.Tools, Includes: scope.Includes}
	}
	return all
}

func resources(cfg config.Config) provider.Resources {
	all := provider.Resources{Known: resourceIdentifiers(cfg), Default: cfg.DefaultResource, Scopes: map[string][]string{}}
	for identifier, resource := range cfg.Resources {
		all.Scopes[identifier] = resource.Scopes
	}
	return all
}

func resourceIdentifiers(cfg config.Config) []string {
	return slices.Sorted(maps.Keys(cfg.Resources))
}

// ClientRules say what clients may be registered with, in the admin API and by import.
func ClientRules(cfg config.Config) client.Rules {
	return client.Rules{Scopes: slices.Sorted(maps.Keys(cfg.Scopes)), Resources: resourceIdentifiers(cfg), DefaultResource: cfg.DefaultResource}
}
