// Package slowhash compares secrets with hashes that take long to compute: bcrypt, PBKDF2 and argon2id. It computes them
// [Here], or in a [Process] of their own.
package slowhash

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Is tells whether hash is of a kind that takes long to compute.
func Is(hash []byte) bool {
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$", "$argon2id$", "$pbkdf2-sha256$", "$pbkdf2-sha512$"} {
		if bytes.HasPrefix(hash, []byte(prefix)) {
			return true
		}
	}
	return false
}

// A Computer does the work.
type Computer interface {
	// Compare tells whether hash is that of secret.
	Compare(hash, secret []byte) bool
	// Do works, to no other purpose than the time that it takes.
	Do(work Work, secret []byte)
}

// Here computes in this process.
type Here struct{}

// Compare implements [Computer].
func (Here) Compare(hash, secret []byte) bool {
	switch {
	case strings.HasPrefix(string(hash), "$2"):
		return bcrypt.CompareHashAndPassword(hash, secret) == nil
	case strings.HasPrefix(string(hash), "$argon2id$"):
		return compareArgon2id(string(hash), secret)
	default:
		return comparePBKDF2(string(hash), secret)
	}
}

// Do implements [Computer].
func (Here) Do(work Work, secret []byte) { work.do(secret) }

// Check tells whether hash, one that [Is] slow, is well formed, with parameters that are not out of bounds.
func Check(hash string) (err error) {
	switch {
	case strings.HasPrefix(hash, "$argon2id$"):
		_, err = parseArgon2id(hash)
	case strings.HasPrefix(hash, "$pbkdf2-sha"):
		_, err = parsePBKDF2(hash)
	default:
		var cost int
		if cost, err = bcrypt.Cost([]byte(hash)); err == nil && cost > 15 {
			err = fmt.Errorf("bcrypt cost %d is over 15", cost)
		}
	}
	return err
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
	if d.salt, err = base64.RawStdEncoding.Strict().DecodeString(salt); err != nil {
		return errors.New("malformed salt: not unpadded base64")
	}
	if d.key, err = base64.RawStdEncoding.Strict().DecodeString(key); err != nil || len(d.key) < 16 || len(d.key) > 128 {
		return errors.New("malformed key: want 16 to 128 bytes in unpadded base64")
	}
	return nil
}

func compareArgon2id(encoded string, secret []byte) bool {
	d, err := parseArgon2id(encoded)
	if err != nil {
		return false
	}
	key := argon2.IDKey(secret, d.salt, d.time, d.memory, d.threads, uint32(len(d.key)))
	return subtle.ConstantTimeCompare(key, d.key) == 1
}

func comparePBKDF2(encoded string, secret []byte) bool {
	d, err := parsePBKDF2(encoded)
	if err != nil {
		return false
	}
	key, err := pbkdf2.Key(d.digest, string(secret), d.salt, int(d.iterations), len(d.key))
	return err == nil && subtle.ConstantTimeCompare(key, d.key) == 1
}
