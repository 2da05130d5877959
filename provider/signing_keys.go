package provider

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// SigningKeys are the keys that sign JWT access tokens. They are in the database, so that all replicas have the same ones: a
// next one, which is published and signs nothing yet, the current one, and retired ones, until the last token has ended that
// they have signed. Private halves are encrypted under a key that is derived from the system secret.
//
// Call [SigningKeys.Ensure] at the start and [SigningKeys.Maintain] every quarter of a minute. [SigningKeys.PublicKeys] is for
// handlers.Server.PublicKeys.
type SigningKeys struct {
	store SigningKeyStore
	o     SigningKeyOptions
	seals []cipher.AEAD // the newest secret's first

	set     atomic.Pointer[keySet] // as it was read last; nil: never
	reads   atomic.Int64           // counts them
	reading sync.Mutex             // for what is below, and held while the set is read
	looked  time.Time              // when somebody has last looked for an unknown key
	failure error                  // what came of it
}

// SigningKeyOptions say how keys are made and kept. The zero value with a SystemSecret is useful.
type SigningKeyOptions struct {
	// SystemSecret is what the private halves are encrypted under; those of PreviousSystemSecrets open too.
	SystemSecret          []byte
	PreviousSystemSecrets [][]byte
	// Algorithm is that of new keys; empty: ES256. When it changes, tokens are signed with it once its first key has been
	// published for long enough.
	Algorithm string
	// Lifespan is how long a key signs before [SigningKeys.Maintain] has the next one do so; 0: until [SigningKeys.Rotate].
	Lifespan time.Duration
	// Record is told of each change of the keys, in its transaction if the store has any: an error undoes the change. action
	// is signing_key.created, signing_key.rotated, signing_key.discarded or signing_key.removed. nil: nobody.
	Record func(ctx context.Context, action string, key SigningKey) error
	Now    func() time.Time // nil: time.Now
}

// SigningKey is what there is to know of a key without its private half.
type SigningKey struct {
	ID          string // kid
	Algorithm   string
	State       KeyState
	PublishedAt time.Time // since when it is in the JWKS
	MaySign     time.Time // of a next key: when verifiers know it
	SignsSince  time.Time // zero: it is the next one
	RetiredAt   time.Time // zero: it is not
	EndsAt      time.Time // of a retired key: when its last token has ended; zero: not known yet
}

// KeyState is what a key is for.
type KeyState string

// The states, in the order of a key's life.
const (
	KeyNext    KeyState = "next"    // published, signs nothing yet
	KeyCurrent KeyState = "current" // signs
	KeyRetired KeyState = "retired" // verifies what it has signed
)

const (
	// KeyLead is how long a key is published before it signs. Verifiers may keep the JWKS for five minutes, and a replica the
	// keys for one.
	KeyLead = 6 * time.Minute
	// staleKeys is how long a replica uses the keys without reading them anew.
	staleKeys = time.Minute
	// staleSigner is how long a replica signs without looking whether another one has taken its key away, which has leaked then.
	staleSigner = time.Second
	// outageKeys is how long a replica publishes the keys of before while the store does not answer.
	outageKeys = time.Hour
	// unknownKeys is how often a replica looks for keys that it does not know: anybody can name one.
	unknownKeys = time.Second
	lookLimit   = 5 * time.Second
	// lastSigned is how long after its retirement a key may have signed a token, at a replica that had not heard of it.
	lastSigned = 2 * staleKeys
	// keySkew is how long a retired key stays published after its last token has ended, by our clock.
	keySkew = 5 * time.Minute
)

var (
	errMissingKeySecret = errors.New("a signing key is sealed with a system secret that is missing here: every replica needs each secret in use, " +
		"as system_secret or among system_secrets_previous; where the secret is lost, replace the key with: fosite-mcp key rotate --now")
	errNoKeys = errors.New("there are no signing keys: call SigningKeys.Ensure at the start")
)

// NewSigningKeys makes the keys of store. It reads nothing yet.
func NewSigningKeys(store SigningKeyStore, o SigningKeyOptions) (*SigningKeys, error) {
	if o.Algorithm == "" {
		o.Algorithm = ES256
	}
	if !slices.Contains(SigningAlgorithms(), o.Algorithm) {
		return nil, fmt.Errorf("provider: SigningKeyOptions.Algorithm is %q; it must be one of %v", o.Algorithm, SigningAlgorithms())
	}
	k := &SigningKeys{store: store, o: o}
	for i, secret := range append([][]byte{o.SystemSecret}, o.PreviousSystemSecrets...) {
		if len(secret) < MinimumSecret {
			return nil, fmt.Errorf("provider: system secret %d has %d bytes; it needs at least %d", i, len(secret), MinimumSecret)
		}
		seal, err := newSeal(secret)
		if err != nil {
			return nil, fmt.Errorf("provider: derive a key: %w", err)
		}
		k.seals = append(k.seals, seal)
	}
	return k, nil
}

func newSeal(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp signing keys", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// keySet is what was read; it does not change.
type keySet struct {
	read     int64 // which one it was
	readAt   time.Time
	encoded  []byte // as it is stored, under the revision
	revision int64
	stored   []storedKey
	byHeader map[string]*signingKey // by the first part of their tokens
	current  *signingKey            // nil: there are no keys
	jwks     []byte                 // RFC 7517 §5
}

// decode makes what is needed of the stored keys.
func (k *SigningKeys) decode(set *keySet) (err error) {
	if set.stored, err = decodeKeys(set.encoded); err != nil {
		return err
	}
	set.byHeader = make(map[string]*signingKey, len(set.stored))
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for i := range set.stored {
		key, err := newSigningKey(&set.stored[i], k.seals)
		if err != nil {
			return err
		}
		set.byHeader[key.header] = key
		if set.stored[i].state() == KeyCurrent {
			set.current = key
		}
		public.Keys = append(public.Keys, key.jwk)
	}
	set.jwks, err = json.Marshal(public)
	return err
}

// read reads the keys from the store.
func (k *SigningKeys) read(ctx context.Context) (*keySet, error) {
	set := &keySet{read: k.reads.Add(1), readAt: clock(k.o.Now)}
	var err error
	if set.encoded, set.revision, err = k.store.KeySet(ctx); err != nil {
		return nil, err
	}
	if known := k.set.Load(); known != nil && bytes.Equal(known.encoded, set.encoded) {
		set.stored, set.byHeader, set.current, set.jwks = known.stored, known.byHeader, known.current, known.jwks
	} else if err := k.decode(set); err != nil {
		return nil, err
	}
	for {
		known := k.set.Load()
		if known != nil && known.read > set.read { // it began later
			return known, nil
		}
		if k.set.CompareAndSwap(known, set) {
			return set, nil
		}
	}
}

// fresh is the set as it was so long ago at the most.
func (k *SigningKeys) fresh(ctx context.Context, stale time.Duration) (*keySet, error) {
	if set := k.set.Load(); k.isFresh(set, stale) {
		return set, nil
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	if set := k.set.Load(); k.isFresh(set, stale) { // somebody has just read it
		return set, nil
	}
	return k.read(ctx)
}

func (k *SigningKeys) isFresh(set *keySet, stale time.Duration) bool {
	if set == nil {
		return false
	}
	age := clock(k.o.Now).Sub(set.readAt)
	return age >= 0 && age < stale
}

// signer is the key that signs now.
func (k *SigningKeys) signer(ctx context.Context) (*signingKey, error) {
	set, err := k.fresh(ctx, staleSigner)
	switch {
	case err != nil:
		return nil, err
	case set.current == nil:
		return nil, errNoKeys
	case set.current.private == nil:
		return nil, errMissingKeySecret
	}
	return set.current, nil
}

// known is the key with this header of its tokens, or nil.
func (k *SigningKeys) known(header string) *signingKey {
	if set := k.set.Load(); set != nil {
		return set.byHeader[header]
	}
	return nil
}

// find looks for the key with this header in the store, every now and then. An error is an outage.
func (k *SigningKeys) find(ctx context.Context, header string) (*signingKey, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if now := clock(k.o.Now); k.looked.IsZero() || now.Sub(k.looked) >= unknownKeys || now.Before(k.looked) {
		k.looked = now
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookLimit) // others wait for it
		defer cancel()
		_, k.failure = k.read(ctx)
	}
	if k.failure != nil {
		return nil, k.failure
	}
	return k.known(header), nil
}

// PublicKeys is the JWK Set (RFC 7517 §5) that verifies the tokens, an empty one if there are no keys. While the store does not
// answer it is that of before, for up to an hour: verifiers need not stop. An error is an outage.
func (k *SigningKeys) PublicKeys(ctx context.Context) ([]byte, error) {
	set, err := k.fresh(ctx, staleKeys)
	if known := k.set.Load(); err != nil && known != nil && clock(k.o.Now).Sub(known.readAt) < outageKeys {
		return known.jwks, nil
	}
	if err != nil {
		return nil, err
	}
	return set.jwks, nil
}
