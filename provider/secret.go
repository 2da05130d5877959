package provider

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
)

// Client secrets look like mcp_cs_<43 characters><6 characters>: 256 bits of randomness and a CRC-32 over all
// that stands before it. The prefix lets secret scanners find a leaked one, the checksum lets them be sure
// without asking us. Letters, digits and _ only: encoded or not, such a secret is the same bytes.
const (
	secretPrefix         = "mcp_cs_"
	secretRandomLength   = 43 // log2(62^43) = 256.03
	secretChecksumLength = 6  // 62^6 > 2^32
	base62               = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewSecret makes a client secret.
func NewSecret() string {
	random := make([]byte, secretRandomLength)
	for i := range random {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		random[i] = base62[n.Int64()]
	}
	body := secretPrefix + string(random)
	return body + checksum(body)
}

// IsGeneratedSecret tells whether secret was made by [NewSecret], as far as its checksum can tell.
func IsGeneratedSecret(secret string) bool {
	if len(secret) != len(secretPrefix)+secretRandomLength+secretChecksumLength || !strings.HasPrefix(secret, secretPrefix) {
		return false
	}
	body := secret[:len(secretPrefix)+secretRandomLength]
	return secret[len(body):] == checksum(body)
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	encoded := make([]byte, secretChecksumLength)
	for i := len(encoded) - 1; i >= 0; i-- {
		encoded[i] = base62[sum%62]
		sum /= 62
	}
	return string(encoded)
}
