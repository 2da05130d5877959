package authserver

import (
	"context"
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
	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/handlers/failures"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// newProvider makes the OAuth provider with the configured settings.
func newProvider(cfg config.Config, store *storage.Store, secrets systemSecrets, observer *observe.Observer, limits *limits, recorder *failures.Recorder, hasher fosite.Hasher) (*provider.Provider, error) {
	var tokens fosite.Storage = store
	if cfg.Audit.IssuedTokens {
		tokens = storage.AuditedTokens{Store: store}
	}
	return provider.New(tokens, provider.Options{
		SystemSecret:             secrets.current,
		PreviousSystemSecrets:    secrets.previous,
		OnMissingSecret:          observer.CountMissingSecret,
		Reused:                   recorder.Reused,
		Issuer:                   cfg.Issuer,
		TokenURL:                 cfg.Endpoint("token"),
		AccessTokenLifespan:      cfg.Tokens.AccessLifespan,
		RefreshTokenLifespan:     cfg.Tokens.RefreshLifespan,
		RefreshAbsoluteLifespan:  cfg.Tokens.RefreshAbsoluteLifespan,
		AuthorizeCodeLifespan:    cfg.Tokens.CodeLifespan,
		GroupsMaxAge:             cfg.Login.GroupsMaxAge,
		ClientCredentialsRefresh: cfg.Tokens.ClientCredentialsRefresh,
		Scopes:                   scopes(cfg),
		Resources:                resources(cfg),
		Authentication: func(next fosite.ClientAuthenticationStrategy) fosite.ClientAuthenticationStrategy {
			return limits.authenticate(recorder.Watch(next))
		},
		Hasher: hasher,
	})
}

// newRecorder makes the recorder of failed attempts, and counts what it records.
func newRecorder(log *slog.Logger, store *storage.Store, observer *observe.Observer) *failures.Recorder {
	recorder := failures.NewRecorder(store, log, nil)
	recorder.Counted = observer.CountEvent
	return recorder
}

// publicRouter serves the OAuth endpoints, login and consent, metadata and health.
func (s *Instance) publicRouter(cfg config.Config, store *storage.Store, oauth *provider.Provider, observer *observe.Observer, limits *limits, secrets systemSecrets, recorder *failures.Recorder) (http.Handler, error) {
	root := newRouter(observer, clientaddr.FromHeader(cfg.ClientIPHeader))
	root.Use(newHosts(publicHosts(cfg), s.Log, handlers.Misdirected).middleware, limits.middleware)
	handlers.MountWellKnown(root, metadata(cfg))
	handlers.MountHealth(root, store.Ping)

	below := root.PathPrefix(cfg.BasePath).Subrouter()
	endpoints := &handlers.Server{
		Provider:   oauth,
		NewSession: func() fosite.Session { return provider.NewSession() },
		Issuer:     cfg.Issuer,
		TokenID: func(ctx context.Context, token string) string { // called for active tokens only
			id := storage.TokenID(oauth.Strategy.AccessTokenSignature(ctx, token))
			store.TokenUsed(id)
			return id
		},
		ReadAhead: func(ctx context.Context, token string) context.Context {
			ctx, signature := oauth.Strategy.WithToken(ctx, token)
			return storage.ReadAhead(ctx, signature)
		},
		Log: s.Log,
	}
	people, err := s.newLogin(cfg, store, oauth.Config.ClientSecretsHasher, secrets, limits, recorder)
	if err != nil {
		return nil, err
	}
	if people != nil {
		people.Mount(below)
		endpoints.Login = people
		endpoints.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, err *fosite.RFC6749Error) {
			people.ErrorPage(w, r, status, err)
		}
		limits.page = endpoints.ErrorPage
	}
	endpoints.Mount(below)
	root.NewRoute().Handler(handlers.NotFound())
	return root, nil
}

// newRouter matches paths as they were sent: it redirects nothing, and %2F is no slash. Its last route must match every
// path, because middleware sees only requests that a route matches. from returns the address of the caller.
func newRouter(observer *observe.Observer, from func(*http.Request) netip.Addr) *mux.Router {
	root := mux.NewRouter().SkipClean(true).UseEncodedPath()
	root.Use(receive(from), observer.Middleware)
	return root
}

// adminRouter serves the admin API, metrics and health.
func (s *Instance) adminRouter(cfg config.Config, store *storage.Store, oauth *provider.Provider, observer *observe.Observer, secrets systemSecrets, recorder *failures.Recorder) http.Handler {
	root := newRouter(observer, clientaddr.Peer)
	root.Handle("/metrics", handlers.Reading(observer.Metrics().ServeHTTP))
	handlers.MountHealth(root, store.Ping)
	replayKey, previousReplayKeys := secrets.keys("idempotency replay")
	api := &admin.Server{
		Store:                 store,
		NewSecret:             client.NewSecret,
		Hasher:                oauth.Config.ClientSecretsHasher,
		AccessTokenSignature:  oauth.Strategy.AccessTokenSignature,
		RefreshTokenSignature: oauth.Strategy.RefreshTokenSignature,
		Rules:                 ClientRules(cfg),
		Narrow:                resources(cfg).Narrow,
		UnverifiedSignature:   oauth.Strategy.UnverifiedSignature,
		OnMissingSecret:       observer.CountMissingSecret,
		ReplayKey:             replayKey,
		PreviousReplayKeys:    previousReplayKeys,
		Failures:              limit.New[netip.Prefix]("address-failures", cfg.RateLimits.AddressFailuresPerMinute, time.Minute, nil),
		Recorder:              recorder,
		Log:                   s.Log,
	}
	api.Failures.Refused = observer.CountLimited("admin-failures")
	root.Use(newHosts(listenerHosts(cfg, cfg.Admin.Listen), s.Log, api.Misdirected).middleware)
	api.Mount(root.PathPrefix("/admin/v1").Subrouter())
	root.NewRoute().Handler(api.NotFound())
	return root
}

func scopes(cfg config.Config) provider.Scopes {
	all := provider.Scopes{}
	for name, scope := range cfg.Scopes {
		all[name] = provider.Scope{Description: scope.Description, Tools: scope.Tools}
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

func metadata(cfg config.Config) handlers.Metadata {
	m := handlers.Metadata{
		Issuer:     cfg.Issuer,
		Endpoints:  cfg.PublicURL + cfg.BasePath,
		Scopes:     slices.Sorted(maps.Keys(cfg.Scopes)),
		GrantTypes: []string{"client_credentials"},
	}
	if len(cfg.Login.Methods) > 0 {
		m.GrantTypes = append(m.GrantTypes, "authorization_code")
	}
	if len(cfg.Login.Methods) > 0 || cfg.Tokens.ClientCredentialsRefresh {
		m.GrantTypes = append(m.GrantTypes, "refresh_token")
	}
	for _, identifier := range resourceIdentifiers(cfg) {
		resource := cfg.Resources[identifier]
		m.Resources = append(m.Resources, handlers.ProtectedResource{Resource: identifier, Name: resource.Name, Scopes: resource.Scopes})
	}
	return m
}
