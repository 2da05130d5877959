package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultKeysAge = 5 * time.Minute // of a JWKS that does not say how long it is good
	leastKeysAge   = time.Minute
	mostKeysAge    = 15 * time.Minute
	// staleKeys is how long keys are used while no new ones can be fetched.
	staleKeys = time.Hour
	// failureCounts is how long after a fetch that failed old keys are used at once. Later the next fetch is waited for.
	failureCounts = time.Minute
	// How often keys are fetched at most, whatever kid tokens name.
	fetchPause = 5 * time.Second
	retryPause = time.Second // after a failure
)

// errKeyUnknown means that a key may exist that has not been fetched yet.
var errKeyUnknown = errors.New("the key of the token is not known, and the keys were fetched a moment ago")

// remoteKeys are the keys of the issuer. They are fetched when they are
// needed, by one request at a time.
type remoteKeys struct {
	address string
	client  *http.Client

	mu       sync.Mutex
	keys     map[string]publicKey
	fetched  time.Time // when keys were asked for; zero: never
	maxAge   time.Duration
	tried    time.Time
	err      error         // of the newest try
	failed   time.Time     // when a try failed
	fetching chan struct{} // closed when the fetch in progress ends; nil: none
}

// find returns the key kid. Its error wraps ErrInactive when the issuer has no
// such key; any other one means that this is not known.
func (k *remoteKeys) find(ctx context.Context, kid string) (publicKey, error) {
	arrived := time.Now()
	key, known, fetch := k.look(kid, arrived, true)
	if known {
		return key, nil
	}
	if fetch != nil {
		select {
		case <-fetch:
		case <-ctx.Done():
			return publicKey{}, ctx.Err()
		}
		if key, known, _ = k.look(kid, time.Now(), false); known {
			return key, nil
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !k.usable(time.Now()) && k.err != nil:
		return publicKey{}, fmt.Errorf("there are no keys to verify tokens with: %w", k.err)
	case !k.usable(time.Now()):
		return publicKey{}, fmt.Errorf("there are no keys to verify tokens with: %s lists none", k.address)
	case k.err != nil:
		return publicKey{}, fmt.Errorf("%w: %w", errKeyUnknown, k.err)
	case k.fetched.Before(arrived):
		return publicKey{}, errKeyUnknown
	}
	return publicKey{}, fmt.Errorf("%w: the issuer has no key %q", ErrInactive, kid)
}

// look returns the key if it is known and, if it is not, the fetch to wait for.
// With start it starts one when one is due. Keys that are older than their
// maxAge are known only if the fetch has failed: one may have been taken away.
func (k *remoteKeys) look(kid string, now time.Time, start bool) (key publicKey, known bool, fetch <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known = k.keys[kid]
	known = known && k.usable(now)
	limit := fetchPause
	if k.err != nil {
		limit = retryPause
	}
	old := elapsed(k.fetched, now) >= k.maxAge
	if start && (!known || old) && k.fetching == nil && elapsed(k.tried, now) >= limit {
		k.tried, k.fetching = now, make(chan struct{})
		go k.fetch(now, k.fetching)
	}
	if start && old && k.fetching != nil && (k.err == nil || elapsed(k.failed, now) >= failureCounts) {
		known = false
	}
	return key, known, k.fetching
}

// usable reports whether there are keys that are not too old.
func (k *remoteKeys) usable(now time.Time) bool {
	return len(k.keys) > 0 && elapsed(k.fetched, now) < staleKeys
}

func (k *remoteKeys) fetch(asked time.Time, done chan<- struct{}) {
	body, header, err := fetch(context.Background(), k.client, k.address)
	var keys map[string]publicKey
	if err == nil {
		if keys, err = parseKeySet(body); err != nil {
			err = fmt.Errorf("%s: %w", k.address, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetching, k.err = nil, err
	if err != nil {
		k.failed = time.Now()
	} else {
		k.keys, k.fetched, k.maxAge = keys, asked, maxAge(header)
	}
	close(done)
}

// maxAge is how long keys are kept, within bounds.
func maxAge(header http.Header) time.Duration {
	for directive := range strings.SplitSeq(header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if seconds, err := strconv.Atoi(value); strings.EqualFold(name, "max-age") && err == nil && seconds >= 0 {
			return max(leastKeysAge, min(time.Duration(min(seconds, 1<<20))*time.Second, mostKeysAge))
		}
	}
	return defaultKeysAge
}
