package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout = 5 * time.Second
	maxAnswer      = 1 << 20 // bytes
)

// Config says where and as whom to ask about tokens.
type Config struct {
	// Endpoint is the introspection endpoint. Config.Discover can fill it in.
	Endpoint string
	// Issuer is the authorization server. Config.Discover sets it.
	Issuer string
	// ClientID is this service's own id at the authorization server, where it is
	// registered as a resource server. Set one of ClientSecret, Secret and Key
	// with it.
	ClientID string
	// ClientSecret is sent as the password of Basic.
	ClientSecret string
	// Secret returns the client secret. It is called for each request, so that
	// a secret can be replaced without a restart: see [SecretFile].
	Secret func() (string, error)
	// SecretInBody sends the secret in the form (client_secret_post).
	SecretInBody bool
	// Key returns the key that signs assertions (private_key_jwt), which are
	// for Issuer. It is called for each request.
	Key func() (ClientKey, error)
	// Resource is this service's identifier (RFC 8707). A token whose "aud"
	// does not hold exactly this string is not accepted.
	Resource string
	// Cache keeps positive answers for as long as nothing is revoked. Nil means
	// that every request is asked about. With a cache, call
	// [Introspector.Close] when the introspector is no longer needed.
	Cache *Cache
	// Revocations is the feed of revocations, which a cache needs.
	// Config.Discover can fill it in.
	Revocations string
	// Logger hears of trouble with the feed, and with this service's own
	// credentials: once a minute. Nil means slog.Default().
	Logger *slog.Logger
	// HTTPClient is used for its transport and timeout; nil means one that
	// gives up after 5 seconds and keeps connections open for many requests
	// at once. Redirects are never followed and cookies never kept.
	HTTPClient *http.Client
	// InsecureAllowHTTP permits a plain http endpoint on another machine.
	// Everyone on the way can then read credentials and tokens.
	InsecureAllowHTTP bool
	// Now is the clock by which tokens expire; nil means time.Now.
	Now func() time.Time
}

// Introspector asks the authorization server about each token (RFC 7662).
// Without a [Cache] it keeps no answers: a revocation is seen by the next
// request.
type Introspector struct {
	endpoint string
	resource string
	caller   *caller
	breaker  breaker
	now      func() time.Time
	cache    *liveCache // nil: none
	logger   *slog.Logger
	quiet    seldom
	mismatch atomic.Bool // a token for another resource was told of
}

var _ Verifier = (*Introspector)(nil)

// NewIntrospector checks the configuration, reporting every mistake at once.
// It does not connect to anything; with a cache, it starts to follow the feed
// in the background.
func NewIntrospector(c Config) (*Introspector, error) {
	if err := errors.Join(c.problems()...); err != nil {
		return nil, fmt.Errorf("resource: cannot set up introspection: %w", err)
	}
	i := &Introspector{
		endpoint: c.Endpoint,
		resource: c.Resource,
		caller:   c.caller(),
		now:      c.Now,
		logger:   c.logger(),
	}
	if i.now == nil {
		i.now = time.Now
	}
	if c.Cache != nil {
		settings, err := c.Cache.withDefaults()
		if err != nil {
			return nil, fmt.Errorf("resource: cannot set up introspection: %w", err)
		}
		i.cache = newLiveCache(settings, i, c)
	}
	return i, nil
}

func (c *Config) problems() []error {
	problems := []error{c.endpointProblem("introspection endpoint", c.Endpoint)}
	_, err := parseIdentifier("resource", c.Resource)
	problems = append(problems, err)
	problems = append(problems, c.credentialProblem())
	if c.Cache != nil {
		_, err := c.Cache.withDefaults()
		problems = append(problems, err)
		if c.Revocations == "" {
			return append(problems, errors.New("a cache must follow the server's revocations_endpoint, and Revocations is empty: "+
				"set it, update a server that has none, or go without Cache"))
		}
		problems = append(problems, c.endpointProblem("revocation feed", c.Revocations))
	}
	return problems
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}

func (c *Config) endpointProblem(what, address string) error {
	u, err := parseIdentifier(what, address)
	if err != nil {
		return err
	}
	return checkTransport(what, u, c.InsecureAllowHTTP)
}

// Resource returns the identifier that tokens must name in "aud".
func (i *Introspector) Resource() string { return i.resource }

// Verify asks the authorization server about one token, or the cache. See
// [Verifier] for its errors.
func (i *Introspector) Verify(ctx context.Context, token string) (*Token, error) {
	switch {
	case token == "":
		return nil, ErrInactive
	case i.cache != nil:
		return i.cache.verify(ctx, token)
	}
	return i.introspect(ctx, token)
}

// Close stops following the feed of revocations. From then on every token is
// asked about. Without a cache it does nothing. It always returns nil.
func (i *Introspector) Close() error {
	if i.cache != nil {
		i.cache.follower.close()
	}
	return nil
}

func (i *Introspector) introspect(ctx context.Context, token string) (*Token, error) {
	body, err := i.ask(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("introspection at %s: %w", i.endpoint, err)
	}
	answered, err := parseAnswer(body, i.resource, i.now())
	if errors.Is(err, errOtherResource) && i.mismatch.CompareAndSwap(false, true) {
		i.logger.Warn("a token is good, and for another resource than this one; if clients of this service get such tokens, its resource is not the URL that they use",
			"resource", i.resource, "client_id", i.caller.credentials.clientID)
	}
	if err != nil {
		return nil, fmt.Errorf("introspection at %s: %w", i.endpoint, err)
	}
	return answered, nil
}

func (i *Introspector) ask(ctx context.Context, token string) ([]byte, error) {
	if err := i.breaker.allow(time.Now()); err != nil {
		return nil, err
	}
	r, err := i.caller.post(ctx, i.endpoint, url.Values{"token": {token}, "token_type_hint": {"access_token"}})
	i.breaker.report(ctx, time.Now(), r, err)
	if err != nil {
		return nil, err
	}
	if r.status == http.StatusOK {
		return r.body, nil
	}
	refused := &refusedError{status: r.status}
	if (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden) && i.quiet.due(time.Now()) {
		i.logger.Error("the authorization server refuses this service itself, whatever the token: requests get 503 until that is mended",
			"endpoint", i.endpoint, "client_id", i.caller.credentials.clientID, "error", refused)
	}
	return nil, refused
}

// hardenedClient copies the caller's client. A redirect would carry the token
// to another place, so it becomes an answer like any other that is not 200.
func hardenedClient(given *http.Client) *http.Client {
	var client http.Client
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		client.Transport = pooledTransport()
	}
	if client.Timeout == 0 {
		client.Timeout = defaultTimeout
	}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// pooledTransport keeps more than net/http's two idle connections per host:
// all requests go to the same one.
func pooledTransport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	transport := shared.Clone()
	transport.MaxIdleConns = 256
	transport.MaxIdleConnsPerHost = 256
	// HTTP/2 keeps a connection that has died without a word for minutes,
	// unless it is told to look.
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 3 * time.Second}
	return transport
}
