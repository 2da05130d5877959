package team

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/storage"
)

// Mistakes that a team can make with the parts. Each is refused where it is made, or fails closed at the first request, and
// what is said names the remedy.

const docs = "https://docs.example.com/mcp"

// theirs is the team's own server in memory: a machine and a resource server of fosite's types.
type theirs struct {
	*fosite.Config
	store    *storage.MemoryStore
	strategy oauth2.CoreStrategy
}

func newTheirs(t *testing.T) *theirs {
	t.Helper()
	config := &fosite.Config{GlobalSecret: []byte(strings.Repeat("s", 32)), HashCost: 4}
	if _, err := provider.Harden(config); err != nil {
		t.Fatal(err)
	}
	config.ClientSecretsHasher = &fosite.BCrypt{Config: config}
	hash, err := config.ClientSecretsHasher.Hash(t.Context(), []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMemoryStore()
	for _, id := range []string{"machine", "docs"} {
		store.Clients[id] = &fosite.DefaultClient{ID: id, Secret: hash, GrantTypes: []string{"client_credentials"}, Scopes: []string{"mcp:search"}, Audience: []string{docs}}
	}
	config.ClientAuthenticationStrategy = (&provider.ClientAuthenticator{Store: store, Hasher: config.ClientSecretsHasher}).Authenticate
	return &theirs{config, store, compose.NewOAuth2HMACStrategy(config)}
}

func (s *theirs) compose(factories ...compose.Factory) fosite.OAuth2Provider {
	return compose.Compose(s.Config, s.store, s.strategy, factories...)
}

// token is one that the machine has got before.
func (s *theirs) token(t *testing.T, audience ...string) string {
	t.Helper()
	request := fosite.NewAccessRequest(&fosite.DefaultSession{})
	request.Client, request.GrantedScope, request.GrantedAudience = s.store.Clients["machine"], []string{"mcp:search"}, audience
	token, signature, err := s.strategy.GenerateAccessToken(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.CreateAccessTokenSession(t.Context(), signature, request); err != nil {
		t.Fatal(err)
	}
	return token
}

func refuseAll(context.Context, fosite.AccessRequester) error { return fosite.ErrInactiveToken }

func emptySession() fosite.Session { return &fosite.DefaultSession{} }

// logged is what the log says from now on.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &log
}

func wantSaid(t *testing.T, said string, remedies ...string) {
	t.Helper()
	for _, remedy := range remedies {
		if !strings.Contains(said, remedy) {
			t.Errorf("%q says nothing of %s", said, remedy)
		}
	}
}

func TestAHookBeforeTheValidatorRefusesEverything(t *testing.T) {
	for name, factory := range map[string]compose.Factory{
		"HookFactory": provider.HookFactory(refuseAll), "MCPSearchFactory": provider.MCPSearchFactory(provider.DefaultScopes()),
	} {
		t.Run(name, func(t *testing.T) {
			log, team := logged(t), newTheirs(t)
			oauth := team.compose(factory, compose.OAuth2TokenIntrospectionFactory)
			if _, _, err := oauth.IntrospectToken(t.Context(), team.token(t, docs), fosite.AccessToken, emptySession()); !errors.Is(err, fosite.ErrMisconfiguration) {
				t.Errorf("the token that nobody asked the hook about: %v", err)
			}
			wantSaid(t, log.String(), name, "after compose.OAuth2TokenIntrospectionFactory")
			err := (&handlers.Server{Provider: oauth, NewSession: emptySession}).Mount(mux.NewRouter())
			if err == nil {
				t.Fatal("the composition was mounted")
			}
			wantSaid(t, err.Error(), name)

			team = newTheirs(t) // one before it, and one behind
			second := func(config fosite.Configurator, store, strategy any) any {
				return struct{ fosite.TokenIntrospector }{compose.OAuth2TokenIntrospectionFactory(config, store, strategy).(fosite.TokenIntrospector)}
			}
			oauth = team.compose(compose.OAuth2TokenIntrospectionFactory, factory, second)
			if _, _, err := oauth.IntrospectToken(t.Context(), team.token(t, docs), fosite.AccessToken, emptySession()); !errors.Is(err, fosite.ErrMisconfiguration) {
				t.Errorf("with a validator on both sides: %v", err)
			}

			team = newTheirs(t)
			oauth = team.compose(compose.OAuth2TokenIntrospectionFactory, factory)
			if _, _, err := oauth.IntrospectToken(t.Context(), "invented", fosite.AccessToken, emptySession()); errors.Is(err, fosite.ErrMisconfiguration) || err == nil {
				t.Errorf("an invented token in the right order: %v", err)
			}
		})
	}
}

func TestACompositionIsRefusedAtOnce(t *testing.T) {
	grants := provider.Grants{Resources: provider.Resources{Known: []string{docs}}}
	for name, c := range map[string]struct {
		factories []compose.Factory
		says      string
	}{
		"a factory twice":                 {[]compose.Factory{compose.OAuth2TokenIntrospectionFactory, provider.HookFactory(refuseAll), provider.HookFactory()}, "HookFactory"},
		"fosite's machine grant and ours": {[]compose.Factory{compose.OAuth2ClientCredentialsGrantFactory, provider.ClientCredentialsFactory(grants)}, "leave out fosite's"},
		"fosite's revocation and ours":    {[]compose.Factory{compose.OAuth2TokenRevocationFactory, provider.RevocationFactory}, "leave out fosite's"},
		"fosite's code grant and ours":    {[]compose.Factory{compose.OAuth2AuthorizeExplicitFactory, provider.AuthorizationCodeFactory(grants)}, "leave out fosite's"},
		"fosite's refresh and ours":       {[]compose.Factory{compose.OAuth2RefreshTokenGrantFactory, provider.RefreshTokenFactory(grants)}, "leave out fosite's"},
		"the outage behind the validator": {[]compose.Factory{compose.OAuth2TokenIntrospectionFactory, provider.MissingSecretFactory}, "MissingSecretFactory"},
	} {
		t.Run(name, func(t *testing.T) { wantSaid(t, panics(t, func() { newTheirs(t).compose(c.factories...) }), c.says) })
	}
	for name, factory := range map[string]compose.Factory{
		"ClientCredentialsFactory": provider.ClientCredentialsFactory(grants), "AuthorizationCodeFactory": provider.AuthorizationCodeFactory(grants),
		"RefreshTokenFactory": provider.RefreshTokenFactory(grants), "RevocationFactory": provider.RevocationFactory,
		"HookFactory": provider.HookFactory(), "MCPSearchFactory": provider.MCPSearchFactory(nil), "MissingSecretFactory": provider.MissingSecretFactory,
	} {
		t.Run("a second composition with "+name, func(t *testing.T) {
			team := newTheirs(t)
			team.compose(factory)
			team.store = storage.NewMemoryStore()
			wantSaid(t, panics(t, func() { team.compose(factory) }), name, "a fosite.Config of its own for each composition")
		})
	}
}

// Nothing is known of what is composed later: then the first request is refused, and so is Mount.
func TestARivalThatIsComposedLaterIsRefused(t *testing.T) {
	logged(t)
	grants := provider.Grants{Resources: provider.Resources{Known: []string{docs}}}
	for name, factories := range map[string][]compose.Factory{
		"client_credentials": {provider.ClientCredentialsFactory(grants), compose.OAuth2ClientCredentialsGrantFactory},
		"authorization_code": {provider.AuthorizationCodeFactory(grants), compose.OAuth2AuthorizeExplicitFactory},
		"refresh_token":      {provider.RefreshTokenFactory(grants), compose.OAuth2RefreshTokenGrantFactory},
		"revocation":         {provider.RevocationFactory, compose.OAuth2TokenRevocationFactory},
	} {
		t.Run(name, func(t *testing.T) {
			team := newTheirs(t)
			oauth := team.compose(factories...)
			var err error
			if name == "revocation" {
				err = oauth.NewRevocationRequest(t.Context(), request(url.Values{"token": {"x"}}))
			} else {
				_, err = oauth.NewAccessRequest(t.Context(), request(url.Values{"grant_type": {name}, "code": {"x"}, "refresh_token": {"x"}}), emptySession())
			}
			if !errors.Is(err, fosite.ErrMisconfiguration) {
				t.Errorf("the first request: %v", err)
			}
			if err := (&handlers.Server{Provider: oauth, NewSession: emptySession}).Mount(mux.NewRouter()); err == nil {
				t.Error("it was mounted")
			}
		})
	}
}

// A hook of the team's looks at the type of its session, whatever other hooks have added before.
func TestAHookSeesTheSessionThatWasStored(t *testing.T) {
	team := newTheirs(t)
	seen := map[string]bool{}
	refuseAcme := func(_ context.Context, token fosite.AccessRequester) error {
		session, ok := token.GetSession().(*rebuilding)
		if seen["hook"] = ok; ok && session.Tenant == "acme" {
			return fosite.ErrInactiveToken
		}
		provider.AddClaim(token, "late", true)
		return nil
	}
	oauth := team.compose(compose.OAuth2TokenIntrospectionFactory, provider.MCPSearchFactory(provider.DefaultScopes()), provider.HookFactory(refuseAcme))
	for tenant, active := range map[string]bool{"acme": false, "globex": true} {
		token := team.token(t, docs)
		stored, err := team.store.GetAccessTokenSession(t.Context(), team.strategy.AccessTokenSignature(t.Context(), token), nil)
		if err != nil {
			t.Fatal(err)
		}
		stored.SetSession(&rebuilding{Tenant: tenant})
		_, request, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, &rebuilding{})
		if (err == nil) != active || !seen["hook"] {
			t.Errorf("%s: %v, the hook saw its session: %v", tenant, err, seen["hook"])
		}
		if err == nil {
			claims := request.GetSession().(fosite.ExtraClaimsSession).GetExtraClaims()
			if claims["late"] != true || claims["mcp"] == nil || claims["tenant"] != tenant {
				t.Errorf("%s: %v", tenant, claims)
			}
		}
	}
}

// fosite's store in memory hands out one session for all requests. What is added for one caller is not told to another.
func TestASessionThatIsSharedIsLeftAlone(t *testing.T) {
	team := newTheirs(t)
	oauth := team.compose(compose.OAuth2TokenIntrospectionFactory, provider.MCPSearchFactory(provider.DefaultScopes()))
	token := team.token(t, docs)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, request, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, emptySession()); err != nil ||
				request.GetSession().(fosite.ExtraClaimsSession).GetExtraClaims()["mcp"] == nil {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	stored, err := team.store.GetAccessTokenSession(t.Context(), team.strategy.AccessTokenSignature(t.Context(), token), nil)
	if err != nil || stored.GetSession().(*fosite.DefaultSession).GetExtraClaims()["mcp"] != nil {
		t.Errorf("the stored session has the claim, %v", err)
	}
}

// panics is what do panics with.
func panics(t *testing.T, do func()) (said string) {
	t.Helper()
	defer func() {
		t.Helper()
		var ok bool
		if said, ok = recover().(string); !ok {
			t.Error("nothing was refused")
		}
	}()
	do()
	return ""
}

// rebuilding is a session that makes its claims anew each time, as sessions with fields of their own do.
type rebuilding struct {
	fosite.DefaultSession
	Tenant string
}

func (s *rebuilding) GetExtraClaims() map[string]any { return map[string]any{"tenant": s.Tenant} }

func (s *rebuilding) Clone() fosite.Session { c := *s; return &c }

func TestTheMCPMemberReachesFositesOwnWriter(t *testing.T) {
	team := newTheirs(t)
	oauth := team.compose(compose.OAuth2TokenIntrospectionFactory, provider.MCPSearchFactory(provider.DefaultScopes()))
	token := team.token(t, docs)
	signature := team.strategy.AccessTokenSignature(t.Context(), token)
	stored, err := team.store.GetAccessTokenSession(t.Context(), signature, nil)
	if err != nil {
		t.Fatal(err)
	}
	stored.SetSession(&rebuilding{Tenant: "acme"})
	w := httptest.NewRecorder()
	answer, err := oauth.NewIntrospectionRequest(t.Context(), introspection(token, team.token(t, docs)), &rebuilding{})
	if err != nil {
		t.Fatal(err)
	}
	oauth.WriteIntrospectionResponse(t.Context(), w, answer)
	wantSaid(t, w.Body.String(), `"active":true`, `"tools":["search","get_page"]`, `"tenant":"acme"`)
}

// introspection asks fosite's endpoint about a token, as the bearer of another one.
func introspection(token, bearer string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+bearer)
	return r
}

func TestTheLogSaysOnceWhyTokensAreInactive(t *testing.T) {
	log, team := logged(t), newTheirs(t)
	oauth := team.compose(compose.OAuth2TokenIntrospectionFactory, provider.MCPSearchFactory(provider.DefaultScopes()))
	router := mux.NewRouter()
	if err := (&handlers.Server{Provider: oauth, NewSession: emptySession}).Mount(router); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ token, says string }{
		"no audience":           {team.token(t), "it has no audience"},
		"a caller without name": {team.token(t, docs), "GetIntrospects"},
	} {
		log.Reset()
		for range 3 {
			w := httptest.NewRecorder()
			r := request(url.Values{"token": {c.token}})
			r.URL.Path = "/introspect"
			r.SetBasicAuth("docs", "sesame")
			router.ServeHTTP(w, r)
			wantSaid(t, w.Body.String(), `{"active":false}`)
		}
		wantSaid(t, log.String(), c.says, "client_id=")
		if strings.Count(log.String(), "\n") != 1 || strings.Contains(log.String(), c.token) {
			t.Errorf("%s: the log says\n%s", name, log)
		}
	}
}

// A resource that the hook does not know is gone for it: that is said once.
func TestTheLogSaysThatHookAndGrantsDiffer(t *testing.T) {
	log, team := logged(t), newTheirs(t)
	oauth := team.compose(compose.OAuth2TokenIntrospectionFactory, provider.MCPSearchFactory(provider.DefaultScopes(), provider.Resources{Known: []string{docs + "/"}}))
	token := team.token(t, docs)
	for range 2 {
		if _, _, err := oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, emptySession()); !errors.Is(err, fosite.ErrInactiveToken) {
			t.Errorf("%v", err)
		}
	}
	wantSaid(t, log.String(), "the same provider.Resources", "client_id=machine")
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("the log says\n%s", log)
	}
}

// embedding is a provider of the team's own around the interface.
type embedding struct{ fosite.OAuth2Provider }

// checking has our policy beside it.
type checking struct {
	embedding
	*provider.AuthorizePolicy
}

func (c checking) NewAuthorizeRequest(ctx context.Context, r *http.Request) (fosite.AuthorizeRequester, error) {
	return c.AuthorizePolicy.NewAuthorizeRequest(ctx, r)
}

type noLogin struct{}

func (noLogin) Authorize(http.ResponseWriter, *http.Request, handlers.AuthorizationRequest) (*handlers.Decision, error) {
	return nil, nil
}

func TestMountRefusesWhatWouldFailLater(t *testing.T) {
	logged(t)
	machines := provider.ClientCredentialsFactory(provider.Grants{})
	team := newTheirs(t)
	good := team.compose(machines, compose.OAuth2TokenIntrospectionFactory)
	policy := &provider.AuthorizePolicy{Clients: team.store}
	person := func() fosite.Session { return provider.NewSession() }
	plain := newTheirs(t)
	plain.ClientAuthenticationStrategy = nil
	unsafe := plain.compose(machines)
	for name, c := range map[string]struct {
		server *handlers.Server
		says   []string // nothing: it is mounted
	}{
		"one session for all":           {&handlers.Server{Provider: good, NewSession: func() fosite.Session { return oneForAll }}, []string{"Server.NewSession", "same session"}},
		"one that embeds fosite.Fosite": {&handlers.Server{Provider: &byValue{*good.(*fosite.Fosite)}, NewSession: emptySession}, nil},
		"nothing":                       {&handlers.Server{}, []string{"Server.Provider", "Server.NewSession"}},
		"fosite's authentication":       {&handlers.Server{Provider: unsafe, NewSession: emptySession}, []string{"401 in an outage", "provider.ClientAuthenticator"}},
		"fosite's, by value":            {&handlers.Server{Provider: &byValue{*unsafe.(*fosite.Fosite)}, NewSession: emptySession}, []string{"provider.ClientAuthenticator"}},
		"fosite's revocation":           {&handlers.Server{Provider: newTheirs(t).compose(compose.OAuth2TokenRevocationFactory), NewSession: emptySession}, []string{"provider.RevocationFactory"}},
		"a hook without a validator":    {&handlers.Server{Provider: newTheirs(t).compose(provider.HookFactory()), NewSession: emptySession}, []string{"compose.OAuth2TokenIntrospectionFactory"}},
		"fosite's machine grant":        {&handlers.Server{Provider: newTheirs(t).compose(compose.OAuth2ClientCredentialsGrantFactory), NewSession: emptySession}, []string{"provider.ClientCredentialsFactory"}},
		"its own composition":           {&handlers.Server{Provider: good, NewSession: emptySession}, nil},
		"one that embeds it":            {&handlers.Server{Provider: embedding{good}, NewSession: emptySession}, nil},
		"one that embeds it by twos":    {&handlers.Server{Provider: &embedding{&embedding{good}}, NewSession: emptySession}, nil},
		"a login without a policy":      {&handlers.Server{Provider: good, NewSession: person, Login: noLogin{}}, []string{"provider.AuthorizePolicy"}},
		"a login without a person":      {&handlers.Server{Provider: checking{embedding{good}, policy}, NewSession: emptySession, Login: noLogin{}}, []string{"SetPerson", "fosite.DefaultSession"}},
		"a login with all that needs":   {&handlers.Server{Provider: checking{embedding{good}, policy}, NewSession: person, Login: noLogin{}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			router := mux.NewRouter()
			err := c.server.Mount(router)
			if mounted := router.Match(httptest.NewRequest(http.MethodPost, "/token", nil), &mux.RouteMatch{}); mounted != (c.says == nil) || (err == nil) != mounted {
				t.Fatalf("mounted: %v, error %v", mounted, err)
			}
			if err != nil {
				wantSaid(t, err.Error(), c.says...)
			}
		})
	}
}

var oneForAll = &fosite.DefaultSession{}

type byValue struct{ fosite.Fosite }

// What Mount cannot see fails at the first request: a token without scope and audience is never issued.
func TestAMachineWithNeitherScopeNorAudienceGetsNothing(t *testing.T) {
	team, log := newTheirs(t), logged(t)
	oauth := hiding{team.compose(compose.OAuth2ClientCredentialsGrantFactory)}
	server := &handlers.Server{Provider: oauth, NewSession: emptySession}
	err := server.Mount(mux.NewRouter())
	if err == nil {
		t.Fatal("a provider that cannot authenticate was mounted")
	}
	wantSaid(t, err.Error(), "Server.AuthenticateIntrospection", "AuthenticateClient")
	router := mux.NewRouter()
	server.AuthenticateIntrospection = team.ClientAuthenticationStrategy
	if err := server.Mount(router); err != nil {
		t.Fatal(err)
	}
	r := request(url.Values{"grant_type": {"client_credentials"}, "scope": {"mcp:search"}})
	r.URL.Path = "/token"
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || len(team.store.AccessTokens) > 0 {
		t.Errorf("%d %s, and %d tokens are stored", w.Code, w.Body, len(team.store.AccessTokens))
	}
	wantSaid(t, log.String(), "provider.ClientCredentialsFactory")
}

// hiding shows nothing of what it is made of.
type hiding struct{ unseen }

type unseen = fosite.OAuth2Provider

// deep has the policy too far down to be asked: fosite's own NewAuthorizeRequest is nearer.
type deep struct {
	fosite.OAuth2Provider
	policies
}

type policies struct{ *provider.AuthorizePolicy }

func TestNobodyIsAskedAboutARequestThatWasNotChecked(t *testing.T) {
	log, team := logged(t), newTheirs(t)
	team.store.Clients["app"] = &fosite.DefaultClient{ID: "app", Public: true, GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
		RedirectURIs: []string{"https://app.example.com/"}, Scopes: []string{"mcp:search"}, Audience: []string{docs}}
	oauth := deep{team.compose(provider.AuthorizationCodeFactory(provider.Grants{})), policies{&provider.AuthorizePolicy{Clients: team.store}}}
	asked := &askedLogin{}
	router := mux.NewRouter()
	if err := (&handlers.Server{Provider: oauth, NewSession: func() fosite.Session { return provider.NewSession() }, Login: asked}).Mount(router); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/authorize?response_type=code&client_id=app&redirect_uri=https://app.example.com/&state=12345678&scope=mcp:search", nil))
	if asked.times > 0 || !strings.Contains(w.Header().Get("Location"), "error=server_error") {
		t.Errorf("asked %d times, then %d %v", asked.times, w.Code, w.Header())
	}
	wantSaid(t, log.String(), "provider.AuthorizePolicy")
}

type askedLogin struct{ times int }

func (a *askedLogin) Authorize(http.ResponseWriter, *http.Request, handlers.AuthorizationRequest) (*handlers.Decision, error) {
	a.times++
	return nil, nil
}

func TestMetadataAnnouncesWhatIsThere(t *testing.T) {
	team := newTheirs(t)
	oauth := team.compose(provider.ClientCredentialsFactory(provider.Grants{}))
	server := &handlers.Server{Provider: oauth, NewSession: emptySession, Issuer: "https://auth.example.com"}
	router := mux.NewRouter()
	if err := errors.Join(server.Mount(router), handlers.MountWellKnown(router, handlers.Metadata{Server: server, Endpoints: "https://auth.example.com"})); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/oauth-authorization-server", nil))
	wantSaid(t, w.Body.String(), `"grant_types_supported":["client_credentials"]`, `"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","none"]`)
	for _, absent := range []string{"introspection", "revocation", "private_key_jwt", "signing_alg", "iss_parameter", "subject_types"} {
		if strings.Contains(w.Body.String(), absent) {
			t.Errorf("%s is announced, and is not there:\n%s", absent, w.Body)
		}
	}
	for _, path := range []string{"/revoke", "/introspect", "/authorize", "/.well-known/openid-configuration"} {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for name, m := range map[string]handlers.Metadata{
		"no server":      {Issuer: "https://auth.example.com", Endpoints: "https://auth.example.com"},
		"no endpoints":   {Server: server},
		"another issuer": {Server: server, Issuer: "https://auth.example.com/", Endpoints: "https://auth.example.com"},
	} {
		if err := handlers.MountWellKnown(mux.NewRouter(), m); err == nil {
			t.Errorf("%s: nothing was refused", name)
		}
	}
}

func TestHardenTellsWhatItChanges(t *testing.T) {
	config := &fosite.Config{
		GlobalSecret: []byte(strings.Repeat("s", 32)), AudienceMatchingStrategy: fosite.DefaultAudienceMatchingStrategy,
		ScopeStrategy: fosite.HierarchicScopeStrategy, AccessTokenLifespan: time.Hour,
	}
	changed, err := provider.Harden(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"AudienceMatchingStrategy", "ScopeStrategy", "EnforcePKCE"} {
		if !slices.Contains(changed, field) {
			t.Errorf("%s is not among %v", field, changed)
		}
	}
	if slices.Contains(changed, "AccessTokenLifespan") || slices.Contains(changed, "GlobalSecret") {
		t.Errorf("%v has fields that stayed as they were", changed)
	}
	if again, err := provider.Harden(config); err != nil || len(again) > 0 {
		t.Errorf("a second time: %v, %v", again, err)
	}
	lax := &fosite.Config{AudienceMatchingStrategy: fosite.DefaultAudienceMatchingStrategy, ScopeStrategy: fosite.HierarchicScopeStrategy}
	if _, err := provider.Harden(lax, provider.InsecureScopeStrategy, provider.InsecureAudienceStrategy, provider.InsecureCodesWithoutPKCE); err != nil {
		t.Fatal(err)
	}
	if !lax.ScopeStrategy([]string{"mcp"}, "mcp.search") || lax.EnforcePKCE || lax.AudienceMatchingStrategy([]string{"https://a"}, []string{"https://a/b"}) != nil {
		t.Error("what was to be left has changed")
	}
	if kept, err := hardenedButForScopes(&fosite.Config{ScopeStrategy: fosite.HierarchicScopeStrategy}); err != nil || !kept([]string{"mcp"}, "mcp.search") {
		t.Errorf("the scopes were to be left: %v", err)
	}
	if _, err := provider.Harden(&fosite.Config{}, "everything"); err == nil {
		t.Error("an unknown name was taken")
	}
	_, err = provider.Harden(&fosite.Config{GlobalSecret: make([]byte, 64)})
	if err == nil {
		t.Fatal("a secret of 64 bytes was taken")
	}
	wantSaid(t, err.Error(), "secret[:32]", "every token stays valid")
}

func hardenedButForScopes(config *fosite.Config) (fosite.ScopeStrategy, error) {
	_, err := provider.Harden(config, provider.InsecureScopeStrategy)
	return config.ScopeStrategy, err
}

// A secret of 64 bytes that is cut keeps the tokens that were made with it.
func TestTheFirstHalfOfASecretKeepsItsTokens(t *testing.T) {
	secret := []byte(strings.Repeat("0123456789abcdef", 4))
	long, short := &fosite.Config{GlobalSecret: secret}, &fosite.Config{GlobalSecret: secret[:32]}
	token, _, err := compose.NewOAuth2HMACStrategy(long).GenerateAccessToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request := fosite.NewAccessRequest(&fosite.DefaultSession{})
	if err := compose.NewOAuth2HMACStrategy(short).ValidateAccessToken(t.Context(), request, token); err != nil {
		t.Error(err)
	}
}

// slow counts how often a secret is compared.
type slow struct {
	fosite.BCrypt
	compared int
}

func (s *slow) Compare(ctx context.Context, hash, secret []byte) error {
	s.compared++
	return s.BCrypt.Compare(ctx, hash, secret)
}

// A downstream service with a bcrypt secret of the team's waits for it once, and again after each change of its client.
func TestASlowSecretIsComparedOnce(t *testing.T) {
	team := newTheirs(t)
	hasher := &slow{BCrypt: fosite.BCrypt{Config: team.Config}}
	team.ClientAuthenticationStrategy = (&provider.ClientAuthenticator{Store: team.store, Hasher: hasher}).Authenticate
	oauth := team.compose(compose.OAuth2TokenIntrospectionFactory, provider.MCPSearchFactory(provider.DefaultScopes()))
	router := mux.NewRouter()
	if err := (&handlers.Server{Provider: oauth, NewSession: emptySession}).Mount(router); err != nil {
		t.Fatal(err)
	}
	token := team.token(t, docs)
	introspect := func(secret string) int {
		w, r := httptest.NewRecorder(), request(url.Values{"token": {token}})
		r.URL.Path = "/introspect"
		r.SetBasicAuth("docs", secret)
		router.ServeHTTP(w, r)
		return w.Code
	}
	for range 3 {
		if status := introspect("sesame"); status != http.StatusOK || hasher.compared != 1 {
			t.Fatalf("status %d after %d comparisons", status, hasher.compared)
		}
	}
	hash, err := hasher.Hash(t.Context(), []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	team.store.Clients["docs"].(*fosite.DefaultClient).Secret = hash
	if status := introspect("sesame"); status != http.StatusUnauthorized {
		t.Errorf("the secret that the client had before: %d", status)
	}
	if status := introspect("open"); status != http.StatusOK {
		t.Errorf("its new secret: %d", status)
	}
}
