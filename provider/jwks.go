package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v3" // the version of fosite's interfaces
	"github.com/ory/fosite"
	"golang.org/x/sync/singleflight"

	"fosite-mcp/provider/client"
)

const (
	maxKeySetLength   = 64 << 10
	maxCachedKeySets  = 256 // of administrators' choice, and as many of strangers'
	defaultKeySetLife = 5 * time.Minute
	minKeySetLife     = time.Minute
	maxKeySetLife     = time.Hour
	refreshPause      = 10 * time.Second // between two forced fetches of one location
	failurePause      = 5 * time.Second  // after a failed fetch
)

// JWKSFetcherOptions are the choices of [NewJWKSFetcher]; the zero value is safe.
type JWKSFetcherOptions struct {
	// InsecureAllowLoopback also fetches from this machine's loopback addresses, over https or http: for tests
	// and development.
	InsecureAllowLoopback bool
	// InsecureAllowPrivateAddresses also fetches from addresses that are not of the public internet, over https: for closed
	// networks. Certificates count by the system's trust store.
	InsecureAllowPrivateAddresses bool
	// Now is the clock that cache lifetimes are measured by; nil: time.Now.
	Now func() time.Time
}

// NewJWKSFetcher makes what fetches a client's jwks_uri: over https, from public addresses only, without redirects
// or proxies, within 5 seconds and 64 KiB. Sets are cached as long as their max-age says, between a minute and an
// hour. A set must not be changed by whoever gets it.
//
// Errors are temporarily_unavailable when the location cannot be reached, and invalid_client when it is forbidden
// or does not hold a key set.
func NewJWKSFetcher(o JWKSFetcherOptions) fosite.JWKSFetcherStrategy {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &jwksFetcher{
		client: guardedHTTPClient(reach{anyAddress: o.InsecureAllowPrivateAddresses, loopback: o.InsecureAllowLoopback}),
		now:    o.Now,
		chosen: &keySets{cache: make(map[string]*cachedKeySet)},
		others: &keySets{name: "stranger ", cache: make(map[string]*cachedKeySet), slots: newFetchSlots()},
	}
}

type jwksFetcher struct {
	client  *http.Client
	now     func() time.Time
	flights singleflight.Group

	chosen *keySets // of locations that an administrator has chosen
	others *keySets // of clients that nobody has registered: these displace none of the former, nor hold them up

	mu      sync.Mutex // for the caches and issuers
	issuers map[string]discovered
}

// keySets are those of one kind of location.
type keySets struct {
	name  string
	cache map[string]*cachedKeySet // by location
	slots *fetchSlots              // nil: there are few locations, and no limit
}

type strangerKey struct{}

// forClient marks a look-up of keys that c has chosen, where no administrator has registered c.
func forClient(ctx context.Context, c fosite.OpenIDConnectClient) context.Context {
	if c, ok := c.(fosite.Client); ok {
		if known := client.Of(c); known != nil && known.RegisteredBy != "" {
			return context.WithValue(ctx, strangerKey{}, true)
		}
	}
	return ctx
}

func (f *jwksFetcher) setsFor(ctx context.Context) *keySets {
	if ctx.Value(strangerKey{}) != nil {
		return f.others
	}
	return f.chosen
}

// cachedKeySet is the last good set of a location, if there was one, and the outcome of the last fetch.
type cachedKeySet struct {
	set        *jose.JSONWebKeySet
	expires    time.Time
	err        error
	pauseUntil time.Time
	usedAt     time.Time
}

// Resolve implements [fosite.JWKSFetcherStrategy]. With ignoreCache it asks the location again, but not within
// seconds of the last time: the cached set, or the last error, is the answer then.
func (f *jwksFetcher) Resolve(ctx context.Context, location string, ignoreCache bool) (*jose.JSONWebKeySet, error) {
	sets := f.setsFor(ctx)
	if set, ok, err := f.cached(sets, location, ignoreCache); ok {
		return set, err
	}
	// The fetch outlives the caller who happened to be first: others wait for it too.
	fetched := f.flights.DoChan(sets.name+location, func() (any, error) {
		if set, ok, err := f.cached(sets, location, ignoreCache); ok {
			return set, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout)
		defer cancel()
		if sets.slots != nil {
			release, err := sets.slots.acquire(ctx, location)
			if err != nil {
				return nil, unavailable(err)
			}
			defer release()
		}
		set, life, err := f.fetch(ctx, location)
		f.remember(sets, location, set, life, err)
		return set, err
	})
	select {
	case result := <-fetched:
		set, _ := result.Val.(*jose.JSONWebKeySet)
		return set, result.Err
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

func (f *jwksFetcher) cached(sets *keySets, location string, ignoreCache bool) (set *jose.JSONWebKeySet, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := sets.cache[location]
	if c == nil {
		return nil, false, nil
	}
	now := f.now()
	c.usedAt = now
	pausing := now.Before(c.pauseUntil)
	switch {
	case c.set != nil && now.Before(c.expires) && (!ignoreCache || pausing && c.err == nil):
		return c.set, true, nil
	case pausing && c.err != nil:
		return nil, true, c.err
	}
	return nil, false, nil
}

// remember keeps the outcome of a fetch. A failed one leaves the last good set in place until that expires.
func (f *jwksFetcher) remember(sets *keySets, location string, set *jose.JSONWebKeySet, life time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	c := sets.cache[location]
	if c == nil {
		if len(sets.cache) >= maxCachedKeySets {
			sets.evict()
		}
		c = &cachedKeySet{}
		sets.cache[location] = c
	}
	c.usedAt, c.err = now, err
	if err != nil {
		c.pauseUntil = now.Add(failurePause)
		return
	}
	c.set, c.expires, c.pauseUntil = set, now.Add(life), now.Add(refreshPause)
}

// evict drops the location that was not asked for the longest time.
func (s *keySets) evict() {
	var oldest string
	var usedAt time.Time
	for location, c := range s.cache {
		if oldest == "" || c.usedAt.Before(usedAt) {
			oldest, usedAt = location, c.usedAt
		}
	}
	delete(s.cache, oldest)
}

// fetch asks the location and tells how long its answer may be kept.
func (f *jwksFetcher) fetch(ctx context.Context, location string) (*jose.JSONWebKeySet, time.Duration, error) {
	body, header, err := fetch(ctx, f.client, location, "application/jwk-set+json, application/json", maxKeySetLength)
	if bad := badAnswer(""); errors.As(err, &bad) || errors.Is(err, errForbiddenTarget) {
		return nil, 0, refuseKeySet(detail(err))
	}
	if err != nil {
		return nil, 0, err
	}
	set, err := decodeKeySet(body)
	return set, freshFor(header, defaultKeySetLife, minKeySetLife, maxKeySetLife), err
}

func refuseKeySet(reason string) error { return errInvalidClient.WithDebug("jwks_uri: " + reason) }

// decodeKeySet reads the public keys of a JWK set. Keys it does not understand are left out (RFC 7517 §5), and so
// are symmetric and private ones, which have no business in a published set.
func decodeKeySet(body []byte) (*jose.JSONWebKeySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &raw); err != nil || raw.Keys == nil {
		return nil, refuseKeySet("not a JSON Web Key Set")
	}
	set := &jose.JSONWebKeySet{}
	for _, encoded := range raw.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(encoded) == nil && key.IsPublic() && key.Valid() {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use})
		}
	}
	return set, nil
}
