package provider

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/ory/fosite"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

var _ fosite.Hasher = (*SecretHasher)(nil)

// errMismatch is all that a failed comparison tells.
var errMismatch = errors.New("provider: the secret does not match")

// SecretHasher hashes and compares client secrets. A generated secret has 256 bits of entropy, so a plain SHA-256
// is as good as it gets and costs a microsecond; any other secret is hashed with argon2id. Imported hashes
// (bcrypt, PBKDF2, argon2id) are recognised by their prefix. The zero value is ready.
type SecretHasher struct {
	slow    chan struct{} // bounds the comparisons that burn CPU and memory
	waiting atomic.Int32
}

// ErrTooBusy says that too many slow comparisons are waiting already. It says nothing about the secret.
var ErrTooBusy = errors.New("provider: too many secret comparisons are waiting; try again")

// maxWaiting bounds the queue of slow comparisons, so that a flood of them is turned away rather than piled up.
const maxWaiting = 64

// NewSecretHasher makes a hasher that runs at most one slow comparison per processor at a time.
func NewSecretHasher() *SecretHasher { return newSecretHasher(runtime.GOMAXPROCS(0)) }

func newSecretHasher(atOnce int) *SecretHasher {
	return &SecretHasher{slow: make(chan struct{}, atOnce)}
}

const sha256Prefix = "$sha256$"

var rawBase64 = base64.RawStdEncoding.Strict()

// Hash implements [fosite.Hasher].
func (h *SecretHasher) Hash(ctx context.Context, secret []byte) ([]byte, error) {
	if IsGeneratedSecret(string(secret)) {
		sum := sha256.Sum256(secret)
		return []byte(sha256Prefix + rawBase64.EncodeToString(sum[:])), nil
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	key := argon2.IDKey(secret, salt, 2, 19*1024, 1, 32) // the OWASP minimum
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, 19*1024, 2, 1,
		rawBase64.EncodeToString(salt), rawBase64.EncodeToString(key)), nil
}

// Compare implements [fosite.Hasher]. It answers nil only for the secret that was hashed. An error that is not a
// mismatch (the context ended while waiting for a slow comparison) wraps the cause.
func (h *SecretHasher) Compare(ctx context.Context, hash, secret []byte) error {
	if encoded, ok := strings.CutPrefix(string(hash), sha256Prefix); ok {
		want, err := rawBase64.DecodeString(encoded)
		sum := sha256.Sum256(secret)
		if err != nil || subtle.ConstantTimeCompare(want, sum[:]) != 1 {
			return errMismatch
		}
		return nil
	}
	if !isSlow(hash) {
		return errMismatch
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	switch {
	case strings.HasPrefix(string(hash), "$2"):
		err = bcrypt.CompareHashAndPassword(hash, secret)
	case strings.HasPrefix(string(hash), "$argon2id$"):
		err = compareArgon2id(string(hash), secret)
	default:
		err = comparePBKDF2(string(hash), secret)
	}
	if err != nil {
		return errMismatch
	}
	return nil
}

// CheckHash tells whether hash has a form that Compare understands, with parameters that are not out of bounds.
func CheckHash(hash string) error {
	switch {
	case strings.HasPrefix(hash, sha256Prefix):
		raw, err := rawBase64.DecodeString(hash[len(sha256Prefix):])
		if err != nil || len(raw) != sha256.Size {
			return errors.New("not a SHA-256 in unpadded base64")
		}
		return nil
	case strings.HasPrefix(hash, "$argon2id$"):
		_, err := parseArgon2id(hash)
		return err
	case strings.HasPrefix(hash, "$pbkdf2-sha"):
		_, err := parsePBKDF2(hash)
		return err
	case isSlow([]byte(hash)):
		cost, err := bcrypt.Cost([]byte(hash))
		if err == nil && cost > 15 {
			err = fmt.Errorf("bcrypt cost %d is over 15", cost)
		}
		return err
	}
	return errors.New("unknown hash format; bcrypt ($2a$, $2b$, $2y$), $pbkdf2-sha256$, $pbkdf2-sha512$ and $argon2id$ are understood")
}

func isSlow(hash []byte) bool {
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$", "$argon2id$", "$pbkdf2-sha256$", "$pbkdf2-sha512$"} {
		if strings.HasPrefix(string(hash), prefix) {
			return true
		}
	}
	return false
}

func (h *SecretHasher) acquire(ctx context.Context) (release func(), err error) {
	if h.slow == nil {
		return func() {}, nil
	}
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return nil, ErrTooBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.slow <- struct{}{}:
		return func() { <-h.slow }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w (%w)", ErrTooBusy, ctx.Err())
	}
}

type derivedKey struct {
	memory, time, iterations uint32
	threads                  uint8
	digest                   func() hash.Hash
	salt, key                []byte
}

// parseArgon2id reads $argon2id$v=19$m=…,t=…,p=…$salt$key. The bounds keep an imported hash from being a way to
// exhaust the server.
func parseArgon2id(encoded string) (*derivedKey, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 {
		return nil, errors.New("malformed argon2id hash")
	}
	var version int
	var d derivedKey
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return nil, fmt.Errorf("unsupported argon2id version in %q", parts[2])
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &d.memory, &d.time, &d.threads); err != nil {
		return nil, fmt.Errorf("malformed argon2id parameters %q", parts[3])
	}
	if d.memory > 256*1024 || d.time < 1 || d.time > 16 || d.threads < 1 || d.threads > 16 {
		return nil, fmt.Errorf("argon2id parameters %q are out of bounds (m up to 262144, t and p 1 to 16)", parts[3])
	}
	return &d, d.decode(parts[4], parts[5])
}

// parsePBKDF2 reads $pbkdf2-sha256$i=…,l=…$salt$key.
func parsePBKDF2(encoded string) (*derivedKey, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 {
		return nil, errors.New("malformed PBKDF2 hash")
	}
	d := derivedKey{digest: sha256.New}
	if parts[1] == "pbkdf2-sha512" {
		d.digest = sha512.New
	}
	var length int
	if _, err := fmt.Sscanf(parts[2], "i=%d,l=%d", &d.iterations, &length); err != nil {
		return nil, fmt.Errorf("malformed PBKDF2 parameters %q", parts[2])
	}
	if d.iterations < 1 || d.iterations > 2_000_000 {
		return nil, fmt.Errorf("PBKDF2 iterations %d are out of bounds (1 to 2000000)", d.iterations)
	}
	return &d, d.decode(parts[3], parts[4])
}

func (d *derivedKey) decode(salt, key string) (err error) {
	if d.salt, err = rawBase64.DecodeString(salt); err != nil {
		return errors.New("malformed salt: not unpadded base64")
	}
	if d.key, err = rawBase64.DecodeString(key); err != nil || len(d.key) < 16 || len(d.key) > 128 {
		return errors.New("malformed key: want 16 to 128 bytes in unpadded base64")
	}
	return nil
}

func compareArgon2id(encoded string, secret []byte) error {
	d, err := parseArgon2id(encoded)
	if err != nil {
		return err
	}
	key := argon2.IDKey(secret, d.salt, d.time, d.memory, d.threads, uint32(len(d.key)))
	return equal(key, d.key)
}

func comparePBKDF2(encoded string, secret []byte) error {
	d, err := parsePBKDF2(encoded)
	if err != nil {
		return err
	}
	key, err := pbkdf2.Key(d.digest, string(secret), d.salt, int(d.iterations), len(d.key))
	if err != nil {
		return err
	}
	return equal(key, d.key)
}

func equal(a, b []byte) error {
	if subtle.ConstantTimeCompare(a, b) != 1 {
		return errMismatch
	}
	return nil
}
