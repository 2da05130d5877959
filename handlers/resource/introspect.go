package resource

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
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
	// ClientID and ClientSecret are this service's own credentials at the
	// authorization server, where it is registered as a resource server.
	ClientID, ClientSecret string
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
	// Logger hears of trouble with the feed. Nil means slog.Default().
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
	endpoint      string
	authorization string
	resource      string
	client        *http.Client
	now           func() time.Time
	cache         *liveCache // nil: none
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
		endpoint:      c.Endpoint,
		authorization: basicAuthorization(c.ClientID, c.ClientSecret),
		resource:      c.Resource,
		client:        hardenedClient(c.HTTPClient),
		now:           c.Now,
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

func (c *Config) credentialProblem() error {
	if c.ClientID == "" || c.ClientSecret == "" {
		return errors.New("client id or client secret is missing: introspection needs both")
	}
	return nil
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
	if err != nil {
		return nil, fmt.Errorf("introspection at %s: %w", i.endpoint, err)
	}
	return answered, nil
}

func (i *Introspector) ask(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header["Authorization"] = []string{i.authorization}
	req.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	req.Header["Accept"] = []string{"application/json"}
	// Asking twice does no harm: let net/http try again when a kept connection
	// turns out to be dead. An empty list is not sent (http.Transport).
	req.Header["X-Idempotency-Key"] = []string{}

	resp, err := i.client.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("answered %s: check this service's client id and secret, and that it is registered as a resource server", resp.Status)
	default:
		return nil, fmt.Errorf("answered %s instead of 200", resp.Status)
	}
}

// readAll reads to the end, so that the connection can serve the next request.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return body, nil
}

// basicAuthorization form-encodes both parts before joining them (RFC 6749 §2.3.1).
func basicAuthorization(id, secret string) string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
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
