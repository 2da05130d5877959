package client

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"

	"fosite-mcp/provider/client/slowhash"
)

// Credentials look like mcp_cs_<43 characters><6 characters>: 256 bits of randomness and a CRC-32 over all that stands
// before it. The prefix lets secret scanners find a leaked one, the checksum lets them be sure without asking us.
// Letters, digits and _ only: encoded or not, such a credential is the same bytes.
const (
	secretPrefix   = "mcp_cs_"
	randomLength   = 43 // log2(62^43) = 256.03
	checksumLength = 6  // 62^6 > 2^32
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewCredential makes a credential that begins with prefix.
func NewCredential(prefix string) string {
	random := make([]byte, randomLength)
	for i := range random {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		random[i] = base62[n.Int64()]
	}
	body := prefix + string(random)
	return body + checksum(body)
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	encoded := make([]byte, checksumLength)
	for i := len(encoded) - 1; i >= 0; i-- {
		encoded[i] = base62[sum%62]
		sum /= 62
	}
	return string(encoded)
}

// NewSecret makes a client secret. Store what [HashSecret] makes of it.
func NewSecret() string { return NewCredential(secretPrefix) }

// IsGeneratedSecret tells whether secret was made by [NewSecret], as far as its checksum can tell.
func IsGeneratedSecret(secret string) bool {
	if len(secret) != len(secretPrefix)+randomLength+checksumLength || !strings.HasPrefix(secret, secretPrefix) {
		return false
	}
	body := secret[:len(secretPrefix)+randomLength]
	return secret[len(body):] == checksum(body)
}

const sha256Prefix = "$sha256$"

var rawBase64 = base64.RawStdEncoding.Strict()

// HashSecret hashes a secret of [NewSecret]. That has 256 bits of entropy, so a plain SHA-256 is as good as it gets and
// costs a microsecond. No other secret may be hashed so.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return []byte(sha256Prefix + rawBase64.EncodeToString(sum[:]))
}

// IsFastHash tells whether hash has the form that [HashSecret] gives. All others take long to compare.
func IsFastHash(hash []byte) bool { return strings.HasPrefix(string(hash), sha256Prefix) }

// MatchesFastHash tells whether hash is the one that [HashSecret] makes of secret.
func MatchesFastHash(hash, secret []byte) bool {
	encoded, ok := bytes.CutPrefix(hash, []byte(sha256Prefix))
	var want [2 * sha256.Size]byte
	if !ok || rawBase64.DecodedLen(len(encoded)) > len(want) {
		return false
	}
	n, err := rawBase64.Decode(want[:], encoded)
	sum := sha256.Sum256(secret)
	return err == nil && subtle.ConstantTimeCompare(want[:n], sum[:]) == 1
}

// CheckHash tells whether hash has a form that can be compared with a secret, with parameters that are not out of bounds.
func CheckHash(hash string) error {
	switch {
	case IsFastHash([]byte(hash)):
		raw, err := rawBase64.DecodeString(hash[len(sha256Prefix):])
		if err != nil || len(raw) != sha256.Size {
			return errors.New("not a SHA-256 in unpadded base64")
		}
		return nil
	case slowhash.Is([]byte(hash)):
		return slowhash.Check(hash)
	}
	return errors.New("unknown hash format; bcrypt ($2a$, $2b$, $2y$), $pbkdf2-sha256$, $pbkdf2-sha512$ and $argon2id$ are understood")
}
