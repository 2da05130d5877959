package provider

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"time"

	"fosite-mcp/internal/lengths"
	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/slowhash"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ory/fosite"
	"golang.org/x/crypto/argon2"
)

var _ fosite.Hasher = (*SecretHasher)(nil)

// errMismatch is all that a failed comparison tells.
var errMismatch = errors.New("provider: the secret does not match")

// SecretHasher hashes and compares client secrets and passwords. A generated secret has 256 bits of entropy, so a plain
// SHA-256 is as good as it gets and costs a microsecond; any other secret is hashed with argon2id. Imported hashes
// (bcrypt, PBKDF2, argon2id) are recognised by their prefix.
//
// Use the one of [NewSecretHasher] or [NewSecretHasherIn] where strangers can make it work. The zero value compares at once, however many do.
type SecretHasher struct {
	// Three kinds of slow comparisons share the processors fairly: people's passwords, the secrets of clients, and
	// whatever is sent in as a secret by somebody who need not be a client (see ClientAuthenticator).
	people, clients, claims *door
	verified                *verified
	foreign                 fosite.Hasher // compares in its place
	slow                    slowhash.Computer
	passwordCost            refusalCost
}

// Bounds of how many comparisons wait at a door, and for how long. Clients and browsers give up later than that.
const (
	maxWaiting, maxClaims   = 512, 1024
	patience, claimPatience = 5 * time.Second, time.Second
)

// NewSecretHasher makes a hasher whose slow comparisons leave half of the processors to all other requests.
func NewSecretHasher() *SecretHasher { return newSecretHasher(max(1, runtime.GOMAXPROCS(0)/2)) }

// NewSecretHasherIn is [NewSecretHasher] with slow comparisons done by computer.
func NewSecretHasherIn(computer slowhash.Computer) *SecretHasher {
	h := NewSecretHasher()
	h.slow = computer
	return h
}

func (h *SecretHasher) computer() slowhash.Computer {
	if h.slow == nil {
		return slowhash.Here{}
	}
	return h.slow
}

func newSecretHasher(atOnce int) *SecretHasher {
	turns := newTurns(atOnce)
	return &SecretHasher{
		people:   turns.door(maxWaiting, patience),
		clients:  turns.door(maxWaiting, patience),
		claims:   turns.door(maxClaims, claimPatience),
		verified: newVerified(),
	}
}

// Hash implements [fosite.Hasher].
func (h *SecretHasher) Hash(ctx context.Context, secret []byte) ([]byte, error) {
	if client.IsGeneratedSecret(string(secret)) {
		return client.HashSecret(string(secret)), nil
	}
	end, err := h.clients.wait(ctx, "a new hash")
	if err != nil {
		return nil, err
	}
	defer end()
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	key := argon2.IDKey(secret, salt, 2, 19*1024, 1, 32) // the OWASP minimum
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, 19*1024, 2, 1,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Compare implements [fosite.Hasher]. It answers nil only for the secret that was hashed. [ErrTooBusy] is no mismatch: the
// secret was not compared. Comparisons with the same hash take turns, so that a flood of them keeps no other client waiting.
// A secret that was right is remembered for a while, so that its owner waits once.
func (h *SecretHasher) Compare(ctx context.Context, hash, secret []byte) error {
	if slowhash.Is(hash) && !h.verified.knows(hash, secret) {
		end, err := h.clients.wait(ctx, string(hash))
		if err != nil {
			return err
		}
		defer end()
	}
	return h.compareOne(ctx, hash, secret)
}

// ComparePassword is the same for people's passwords, which are not remembered. Lanes, such as one for each address, take
// turns, so that a flood in one lane does not delay the others. A wrong password takes as long as the slowest hash that was
// ever compared.
func (h *SecretHasher) ComparePassword(ctx context.Context, lane string, hash, password []byte) error {
	if !slowhash.Is(hash) {
		if !client.MatchesFastHash(hash, password) {
			return errMismatch
		}
		return nil
	}
	end, err := h.people.wait(ctx, lane)
	if err != nil {
		return err
	}
	defer end()
	mine := slowhash.Of(hash)
	most := h.passwordCost.raise(mine)
	if !h.computer().Compare(hash, password) {
		h.computer().Do(most.Without(mine), password)
		return errMismatch
	}
	return nil
}

// compareAtOnce compares as far as that takes no time: of a slow hash it tells whether the secret is known to be right.
func (h *SecretHasher) compareAtOnce(ctx context.Context, hash, secret []byte) error {
	switch {
	case h.foreign == nil && client.MatchesFastHash(hash, secret), slowhash.Is(hash) && h.verified.knows(hash, secret):
		return nil
	case h.foreign != nil && !slowhash.Is(hash):
		return h.foreign.Compare(ctx, hash, secret)
	}
	return errMismatch
}

// compareOne compares without waiting for a turn. It remembers a secret that was right and takes long to compare.
func (h *SecretHasher) compareOne(ctx context.Context, hash, secret []byte) error {
	err := h.compareAtOnce(ctx, hash, secret) // it may be known since this one began to wait
	if err == nil || !slowhash.Is(hash) {
		return err
	}
	if h.foreign != nil {
		err = h.foreign.Compare(ctx, hash, secret)
	} else if h.computer().Compare(hash, secret) {
		err = nil
	}
	if err == nil {
		h.verified.add(hash, secret)
	}
	return err
}

// verified remembers which secrets were right, so that a client with a slow hash waits for one comparison and not at
// every request. Only what keyed hashes of them say is kept, under a key that ends with the process. The stored hash is
// part of it, and is read from the database each time: what was known of a secret is worth nothing once the client has
// another, or none. So there is no expiry, which would put a client back into the queue that somebody floods in its name.
//
// A nil one remembers nothing.
type verified struct {
	key  [32]byte
	last *lru.Cache[[sha256.Size]byte, struct{}]
}

const verifiedLimit = 50_000 // some 10 MB

func newVerified() *verified {
	last, err := lru.New[[sha256.Size]byte, struct{}](verifiedLimit)
	if err != nil {
		panic(err) // only for a limit below 1
	}
	v := &verified{last: last}
	_, _ = rand.Read(v.key[:]) // never fails
	return v
}

func (v *verified) knows(hash, secret []byte) bool {
	if v == nil {
		return false
	}
	_, ok := v.last.Get(v.entry(hash, secret))
	return ok
}

func (v *verified) add(hash, secret []byte) {
	if v != nil {
		v.last.Add(v.entry(hash, secret), struct{}{})
	}
}

func (v *verified) entry(hash, secret []byte) (entry [sha256.Size]byte) {
	mac := hmac.New(sha256.New, v.key[:])
	lengths.Write(mac, hash, secret)
	mac.Sum(entry[:0])
	return entry
}
