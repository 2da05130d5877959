package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ory/fosite"
)

// ClientAuthenticator authenticates clients at the token, introspection and revocation endpoints (RFC 6749 §2.3).
// Every client with a secret may send it in the Authorization header or in the form; a client with a key sends
// an assertion (RFC 7523 §2.2); a public client sends its id alone.
//
// Set Store, then use Authenticate as fosite.Config.ClientAuthenticationStrategy.
type ClientAuthenticator struct {
	Store  fosite.ClientManager
	Hasher fosite.Hasher // nil: NewSecretHasher
	// Audiences are the values one of which an assertion's aud must be: issuer, issuer with a slash, token URL.
	Audiences []string
	// Keys fetches a client's jwks_uri; nil: such clients cannot authenticate.
	Keys fosite.JWKSFetcherStrategy
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	decoys   lazyHasher // for comparisons whose only purpose is the time they take, one at a time
	fallback lazyHasher
}

// lazyHasher is made when it is first needed, once: it bounds how many slow hashes are compared at a time.
type lazyHasher struct {
	once   sync.Once
	hasher *SecretHasher
}

func (l *lazyHasher) get(newHasher func() *SecretHasher) *SecretHasher {
	l.once.Do(func() { l.hasher = newHasher() })
	return l.hasher
}

// usedSecret is implemented by clients that want to know which of their secrets authenticated a request.
type usedSecret interface{ AuthenticatedWith(hash []byte) }

// secretUser is implemented by stores that act on the use of a secret, for instance by ending the one before it. hash is
// nil for a client that proved its identity with a key.
type secretUser interface {
	SecretUsed(ctx context.Context, client fosite.Client, hash []byte) error
}

// decoySource is implemented by stores that may hold imported hashes, which take long to compare. It returns one of
// them, or nil when there is none.
type decoySource interface {
	DecoySecretHash(ctx context.Context) ([]byte, error)
}

// One hint for every failure: the answer must not tell an unknown client from a wrong secret.
var errInvalidClient = fosite.ErrInvalidClient.WithHint("Check the client id and the secret (or assertion), and that the client is registered and enabled.")

var errNoCredentials = fosite.ErrInvalidClient.WithHint("Send client credentials: in the Authorization header (Basic), or as client_id and client_secret in the form.")

// Authenticate is a [fosite.ClientAuthenticationStrategy]. It answers invalid_client for whoever cannot prove to be
// a client, invalid_request for credentials that contradict each other, and temporarily_unavailable when the store
// cannot tell: clients throw their credentials away on invalid_client.
func (a *ClientAuthenticator) Authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	sent, err := credentialsFrom(r, form)
	if err != nil {
		return nil, err
	}
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		if sent.basic || form.Get("client_secret") != "" {
			return nil, fosite.ErrInvalidRequest.WithHint("Use one way of client authentication: either client_assertion or a client secret.")
		}
		client, err := a.verifier().authenticate(ctx, form)
		if err != nil {
			return nil, err
		}
		return client, a.used(ctx, client, nil)
	}
	if sent.id == "" {
		return nil, errNoCredentials
	}
	client, err := a.Store.GetClient(ctx, sent.id)
	if errors.Is(err, fosite.ErrNotFound) {
		return nil, a.refuse(ctx, sent, false, "unknown client")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if client.IsPublic() {
		if len(sent.secrets) > 0 {
			return nil, a.refuse(ctx, sent, false, "a public client sent a secret")
		}
		return client, nil
	}
	return a.checkSecret(ctx, client, sent)
}

// credentials are an id and the readings of its secret: SDKs differ in whether they form-encode a Basic header
// (RFC 6749 §2.3.1 says they must), so a secret that reads differently decoded and raw is tried both ways.
type credentials struct {
	basic   bool
	id      string
	secrets []string
}

func credentialsFrom(r *http.Request, form url.Values) (credentials, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if len(r.Header.Values("Authorization")) > 1 {
		return credentials{}, errInvalidClient.WithDebug("more than one Authorization header")
	}
	scheme, encoded := splitAuthorization(r.Header.Get("Authorization"))
	if !strings.EqualFold(scheme, "Basic") {
		c := credentials{id: id}
		if secret != "" {
			c.secrets = []string{secret}
		}
		return c, nil
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	rawID, rawSecret, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok {
		return credentials{}, errInvalidClient.WithDebug("malformed Basic header")
	}
	c := credentials{basic: true, id: decoded(rawID)}
	if id != "" && id != c.id && id == rawID {
		c.id = rawID
	}
	if rawSecret != "" {
		c.secrets = []string{decoded(rawSecret)}
		if rawSecret != c.secrets[0] {
			c.secrets = append(c.secrets, rawSecret)
		}
	}
	if id != "" && id != c.id || secret != "" && !slices.Contains(c.secrets, secret) {
		return credentials{}, fosite.ErrInvalidRequest.WithHint("The credentials in the Authorization header and in the form contradict each other; send one of them.")
	}
	return c, nil
}

// splitAuthorization takes an Authorization header apart: spaces, one or several, end the scheme (RFC 9110 §11.4). A tab
// ends it too, and stays in the credentials, which are then malformed.
func splitAuthorization(header string) (scheme, credentials string) {
	end := strings.IndexAny(header, " \t")
	if end < 0 {
		return header, ""
	}
	return header[:end], strings.TrimLeft(header[end:], " ")
}

func decoded(raw string) string {
	if s, err := url.QueryUnescape(raw); err == nil {
		return s
	}
	return raw
}

func (a *ClientAuthenticator) checkSecret(ctx context.Context, client fosite.Client, sent credentials) (fosite.Client, error) {
	hashes := [][]byte{client.GetHashedSecret()}
	if rotating, ok := client.(fosite.ClientWithSecretRotation); ok {
		hashes = append(hashes, rotating.GetRotatedHashes()...)
	}
	for _, hash := range hashes {
		for _, secret := range sent.secrets {
			err := a.hasher().Compare(ctx, hash, []byte(secret))
			if err == nil {
				if u, ok := client.(usedSecret); ok {
					u.AuthenticatedWith(hash)
				}
				return client, a.used(ctx, client, hash)
			}
			if ctx.Err() != nil || errors.Is(err, ErrTooBusy) {
				return nil, unavailable(err)
			}
		}
	}
	return nil, a.refuse(ctx, sent, slices.ContainsFunc(hashes, isSlow), "wrong secret")
}

// used tells the store about a successful authentication, before anything is issued.
func (a *ClientAuthenticator) used(ctx context.Context, client fosite.Client, hash []byte) error {
	if store, ok := a.Store.(secretUser); ok {
		if err := store.SecretUsed(ctx, client, hash); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// refuse answers invalid_client after the same time whatever was wrong. Where the store holds imported hashes, which
// take long to compare, each failure costs one such comparison: slow tells that it has been made already.
func (a *ClientAuthenticator) refuse(ctx context.Context, sent credentials, slow bool, reason string) error {
	if source, ok := a.Store.(decoySource); ok && !slow {
		hash, err := source.DecoySecretHash(ctx)
		if err != nil {
			return unavailable(err)
		}
		decoys := a.decoys.get(func() *SecretHasher { return newSecretHasher(1) })
		for _, secret := range sent.secrets {
			// In a queue of its own: whoever floods the server with unknown ids keeps no known client waiting.
			if err := decoys.Compare(ctx, hash, []byte(secret)); errors.Is(err, ErrTooBusy) {
				return unavailable(err)
			}
		}
	}
	return errInvalidClient.WithDebug(reason)
}

// unavailable is what a failure of the store is told as, never as invalid_client.
func unavailable(err error) error { return fosite.ErrTemporarilyUnavailable.WithWrap(err) }

func (a *ClientAuthenticator) hasher() fosite.Hasher {
	if a.Hasher != nil {
		return a.Hasher
	}
	return a.fallback.get(NewSecretHasher)
}

func (a *ClientAuthenticator) verifier() *assertionVerifier {
	now := a.Now
	if now == nil {
		now = time.Now
	}
	return &assertionVerifier{store: a.Store, audiences: a.Audiences, keys: a.Keys, now: now}
}
