package login

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// Provider is an OpenID Connect provider for pages of another kind, with a redirect URI of their own. Make one with [NewProvider].
type Provider struct {
	up   *upstream
	sign signer
}

// Identity is somebody whom a provider has named.
type Identity struct {
	Subject  string // that of their tokens here
	Username string // for people to read: others may have the same
	Groups   []string
}

// NewProvider prepares a provider that sends browsers back to redirectURL. It does not talk to it. key has 32 bytes or more, and
// replicas share one; the previous ones are accepted, too. A nil clock is time.Now.
func NewProvider(options OIDC, redirectURL string, key []byte, previous [][]byte, now func() time.Time) *Provider {
	if now == nil {
		now = time.Now
	}
	return &Provider{&upstream{OIDC: options, redirectURL: redirectURL, now: now}, signer{append([][]byte{key}, previous...)}}
}

// Name is how to call the provider.
func (p *Provider) Name() string { return p.up.name() }

// Owns tells whether a subject is one of this provider's.
func (p *Provider) Owns(subject string) bool { return p.up.owns(subject) }

// AttemptLife is how long a browser has to keep what [Provider.Begin] returns.
const AttemptLife = attemptLife

// Begin returns where a browser goes to log in, and what it has to keep meanwhile, in a cookie. proceed comes back from
// [Provider.Finish]. It fails with [ErrProviderDown].
func (p *Provider) Begin(ctx context.Context, proceed string) (address, kept string, err error) {
	a, address, err := p.up.begin(ctx, proceed, nil)
	if err != nil {
		return "", "", err
	}
	return address, p.sign.seal("attempt", a), nil
}

// Finish says who has logged in. query is what the provider has sent the browser back with, and kept what the browser was given. It
// fails with [ErrProviderDown] or [ErrProviderRefused].
func (p *Provider) Finish(ctx context.Context, query url.Values, kept string) (who Identity, proceed string, err error) {
	a, ok := p.sign.attempt(kept, query.Get("state"), p.up.now())
	if !ok {
		return who, "", fmt.Errorf("%w: this browser has begun no such login, or too long ago", ErrProviderRefused)
	}
	found, err := p.up.answer(ctx, query, a)
	if err != nil {
		return who, "", err
	}
	return Identity{Subject: found.Subject, Username: found.Username, Groups: found.Groups}, a.Continue, nil
}
