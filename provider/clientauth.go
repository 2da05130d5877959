package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fosite-mcp/provider/client"

	"github.com/ory/fosite"
	"golang.org/x/time/rate"
)

// ClientAuthenticator authenticates clients at the token, introspection and revocation endpoints (RFC 6749 §2.3).
// Every client with a secret may send it in the Authorization header or in the form; a client with a key sends
// an assertion (RFC 7523 §2.2); a public client sends its id alone.
//
// Set Store, then use Authenticate as fosite.Config.ClientAuthenticationStrategy.
type ClientAuthenticator struct {
	Store  fosite.ClientManager
	Hasher fosite.Hasher // nil: NewSecretHasher
	// Audiences are the values one of which an assertion's aud must be: the issuer, or also issuer with a slash and token URL. Empty: clients
	// cannot authenticate with a key.
	Audiences []string
	// Keys fetches a client's jwks_uri; nil: such clients cannot authenticate.
	Keys fosite.JWKSFetcherStrategy
	// Documents knows the present keys of clients with a metadata document; nil: those count that are stored.
	Documents *ClientDocuments
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	refusals    refusalLimit
	refusalCost refusalCost
	once        sync.Once
	own         *SecretHasher // see hasher
}

// One hint for every failure: the answer must not tell an unknown client from a wrong secret.
var errInvalidClient = fosite.ErrInvalidClient.WithHint("Check the client id and the secret (or assertion), and that the client is registered and enabled.")

var errNoCredentials = fosite.ErrInvalidClient.WithHint("Send client credentials: in the Authorization header (Basic), or as client_id and client_secret in the form.")

// Authenticate is a [fosite.ClientAuthenticationStrategy]. It answers invalid_client for whoever cannot prove to be
// a client, invalid_request for credentials that contradict each other, and temporarily_unavailable when the store
// cannot tell: clients throw their credentials away on invalid_client.
func (a *ClientAuthenticator) Authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	if form.Get("grant_type") == client.JWTBearer && isWithoutClient(ctx) {
		return nil, errWithoutClient
	}
	var tried RefusedClient
	known, err := a.authenticate(ctx, r, form, &tried)
	if !errors.Is(err, fosite.ErrInvalidClient) {
		return known, err
	}
	a.refusals.hold(ctx)
	return nil, NewRefusedClient(tried.ClientID, tried.Exists, err)
}

// AuthMethods are the ways in which clients can authenticate, by their names in RFC 7591.
func (a *ClientAuthenticator) AuthMethods() []string {
	methods := []string{"client_secret_basic", "client_secret_post"}
	if len(a.Audiences) > 0 {
		methods = append(methods, "private_key_jwt")
	}
	return methods
}

// RefusedClient is the error of an authentication that failed: invalid_client, and what the answer must not tell. Those who
// count failures or put them on record find it by [errors.As].
type RefusedClient struct {
	ClientID string // in whose name it was tried; empty: that was never clear
	Exists   bool   // there is such a client

	err error
}

// NewRefusedClient is for other ways of authentication.
func NewRefusedClient(clientID string, exists bool, err error) *RefusedClient {
	return &RefusedClient{clientID, exists, err}
}

func (r *RefusedClient) Error() string { return r.err.Error() }

func (r *RefusedClient) Unwrap() error { return r.err }

func (a *ClientAuthenticator) authenticate(ctx context.Context, r *http.Request, form url.Values, tried *RefusedClient) (fosite.Client, error) {
	sent, err := credentialsFrom(r, form)
	if err != nil {
		return nil, err
	}
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		if sent.basic || form.Get("client_secret") != "" {
			return nil, fosite.ErrInvalidRequest.WithHint("Use one way of client authentication: either client_assertion or a client secret.")
		}
		verifier := &assertionVerifier{store: a.Store, audiences: a.Audiences, keys: a.Keys, documents: a.Documents, now: a.Now}
		client, err := verifier.authenticate(ctx, form)
		*tried = verifier.tried
		if err != nil {
			return nil, err
		}
		return client, a.used(ctx, client, nil)
	}
	if sent.id == "" {
		return nil, errNoCredentials
	}
	known, err := a.Store.GetClient(ctx, sent.id)
	tried.ClientID, tried.Exists = sent.id, err == nil
	if err != nil {
		return a.notFound(ctx, sent, err)
	}
	if known.IsPublic() {
		if len(sent.secrets) > 0 {
			return a.refuse(ctx, sent, "a public client sent a secret")
		}
		if a.Documents.letsIn(known) != nil {
			return a.refuse(ctx, sent, "the host of the client's metadata document is not let in")
		}
		return known, nil
	}
	if usesKey(known) {
		return a.refuse(ctx, sent, "a client with a key sent no assertion")
	}
	return a.checkSecret(ctx, known, sent)
}

// notFound answers for a client that the store does not give out: it is expired, disabled or unknown, or the store cannot tell.
func (a *ClientAuthenticator) notFound(ctx context.Context, sent credentials, err error) (fosite.Client, error) {
	if expired := (*client.ExpiredError)(nil); errors.As(err, &expired) {
		return a.refuseExpired(ctx, sent, expired)
	}
	if errors.Is(err, client.ErrDisabled) {
		return a.refuse(ctx, sent, "the client is disabled")
	}
	if errors.Is(err, fosite.ErrNotFound) {
		return a.refuse(ctx, sent, "unknown client")
	}
	return nil, unavailable(err)
}

// usesKey tells whether a client is registered for assertions: it may use no secret then, whatever hashes it has.
func usesKey(known fosite.Client) bool {
	c, ok := known.(ClientWithAuthMethod)
	return ok && c.GetTokenEndpointAuthMethod() == "private_key_jwt"
}

// refuseExpired tells a client that it has expired, if it sends its secret. Nothing is noted of that.
func (a *ClientAuthenticator) refuseExpired(ctx context.Context, sent credentials, expired *client.ExpiredError) (fosite.Client, error) {
	if expired.Client.IsPublic() || usesKey(expired.Client) {
		return a.refuse(ctx, sent, "the client has expired")
	}
	if _, err := a.match(ctx, expired.Client, sent); err != nil {
		return nil, err
	}
	return nil, errExpired(expired.At, "")
}

// errExpired is for those alone who have proved to be the client.
func errExpired(at time.Time, how string) error {
	return fosite.ErrInvalidClient.WithHintf("The client has expired at %s. Whoever administers it can give it more time.", at.UTC().Format(time.RFC3339)).
		WithDebug(how + "the client has expired")
}

// credentials are an id and the readings of its secret: SDKs differ in whether they form-encode a Basic header
// (RFC 6749 §2.3.1 says they must), so a secret that reads differently decoded and raw is tried both ways.
type credentials struct {
	basic   bool
	id      string
	secrets [][]byte
}

func credentialsFrom(r *http.Request, form url.Values) (credentials, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if len(r.Header.Values("Authorization")) > 1 {
		return credentials{}, errInvalidClient.WithDebug("more than one Authorization header")
	}
	// Spaces, one or several, end the scheme (RFC 9110 §11.4). A tab ends it too, and stays in the credentials, which are
	// then malformed.
	scheme, encoded := r.Header.Get("Authorization"), ""
	if end := strings.IndexAny(scheme, " \t"); end >= 0 {
		scheme, encoded = scheme[:end], strings.TrimLeft(scheme[end:], " ")
	}
	if !strings.EqualFold(scheme, "Basic") {
		c := credentials{id: id}
		if secret != "" {
			c.secrets = [][]byte{[]byte(secret)}
		}
		return c, nil
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	rawID, rawSecret, ok := bytes.Cut(pair, []byte(":"))
	if err != nil || !ok {
		return credentials{}, errInvalidClient.WithDebug("malformed Basic header")
	}
	c := credentials{basic: true, id: string(decoded(rawID))}
	if id != "" && id != c.id && id == string(rawID) {
		c.id = id
	}
	if len(rawSecret) > 0 {
		c.secrets = [][]byte{decoded(rawSecret)}
		if !bytes.Equal(rawSecret, c.secrets[0]) {
			c.secrets = append(c.secrets, rawSecret)
		}
	}
	same := func(read []byte) bool { return string(read) == secret }
	if id != "" && id != c.id || secret != "" && !slices.ContainsFunc(c.secrets, same) {
		return credentials{}, fosite.ErrInvalidRequest.WithHint("The credentials in the Authorization header and in the form contradict each other; send one of them.")
	}
	return c, nil
}

func decoded(raw []byte) []byte {
	if bytes.ContainsAny(raw, "%+") {
		if s, err := url.QueryUnescape(string(raw)); err == nil {
			return []byte(s)
		}
	}
	return raw
}

// unavailable is what a failure of the store is told as, never as invalid_client.
func unavailable(err error) error { return fosite.ErrTemporarilyUnavailable.WithWrap(err) }

// refusalLimit limits the rate of refusals. Without it a client that tries secrets as fast as the server answers would take
// most of the processors, even where one comparison is cheap. The zero value is ready.
type refusalLimit struct {
	once    sync.Once
	limiter *rate.Limiter
	held    atomic.Int64
}

const (
	refusalsPerSecond = 500
	refusalsAtOnce    = 100
	maxHold           = time.Second
	maxHeld           = 1000 // of requests: they take memory
)

// hold returns when it is time to refuse.
func (p *refusalLimit) hold(ctx context.Context) {
	p.once.Do(func() { p.limiter = rate.NewLimiter(refusalsPerSecond, refusalsAtOnce) })
	reserved := p.limiter.Reserve()
	wait := reserved.Delay()
	if wait == 0 {
		return
	}
	if wait > maxHold {
		reserved.Cancel()
		wait = maxHold
	}
	defer p.held.Add(-1)
	if p.held.Add(1) > maxHeld {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
