package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	maxDiscoveryLength  = 64 << 10
	maxDiscovered       = 256
	defaultDiscoverLife = 10 * time.Minute
)

// discovered is where an issuer has its keys, or why that is not known.
type discovered struct {
	jwksURI string
	err     error
	until   time.Time
}

// DiscoverKeys implements [KeyDiscoverer]: the jwks_uri that an issuer publishes (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).
// It asks as [NewJWKSFetcher] says, and keeps what it finds between a minute and an hour, a failure for seconds. Every error is
// temporarily_unavailable.
func (f *jwksFetcher) DiscoverKeys(ctx context.Context, issuer string) (jwksURI string, err error) {
	if known, ok := f.known(issuer); ok {
		return known.jwksURI, known.err
	}
	fetched := f.flights.DoChan("discover "+issuer, func() (any, error) {
		if known, ok := f.known(issuer); ok {
			return known.jwksURI, known.err
		}
		jwksURI, life, err := f.discover(context.WithoutCancel(ctx), issuer)
		if err != nil {
			err, life = unavailable(err), failurePause
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.issuers == nil || len(f.issuers) >= maxDiscovered {
			f.issuers = make(map[string]discovered)
		}
		f.issuers[issuer] = discovered{jwksURI, err, f.now().Add(life)}
		return jwksURI, err
	})
	select {
	case result := <-fetched:
		jwksURI, _ = result.Val.(string)
		return jwksURI, result.Err
	case <-ctx.Done():
		return "", unavailable(ctx.Err())
	}
}

func (f *jwksFetcher) known(issuer string) (discovered, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.issuers[issuer]
	return known, ok && f.now().Before(known.until)
}

// discover reads the documents of an issuer until one tells its keys.
func (f *jwksFetcher) discover(ctx context.Context, issuer string) (jwksURI string, life time.Duration, err error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return "", 0, fmt.Errorf("provider: the issuer %q is no URL where keys could be found; name its jwks or jwks_uri in the rule", issuer)
	}
	origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	var errs []error
	for _, location := range []string{origin + path + "/.well-known/openid-configuration", origin + "/.well-known/oauth-authorization-server" + path} {
		body, header, err := fetch(ctx, f.client, location, "application/json", maxDiscoveryLength)
		if err == nil {
			jwksURI, err = readDiscovery(body, issuer)
		}
		if err == nil {
			return jwksURI, freshFor(header, defaultDiscoverLife, minKeySetLife, maxKeySetLife), nil
		}
		errs = append(errs, fmt.Errorf("provider: discover the keys of an issuer at %s: %s", location, detail(err)))
	}
	return "", 0, errors.Join(errs...)
}

func readDiscovery(body []byte, issuer string) (jwksURI string, err error) {
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return "", errors.New("not a JSON object")
	}
	if document.Issuer != issuer { // OpenID Connect Discovery 1.0 §4.3
		return "", fmt.Errorf("it is the document of the issuer %.200q", document.Issuer)
	}
	if document.JWKSURI == "" {
		return "", errors.New("it has no jwks_uri")
	}
	return document.JWKSURI, nil
}
