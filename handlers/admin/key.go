package admin

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
)

// Admin keys look like mcp_ak_<43 characters><6 characters>: 256 bits of randomness and a CRC-32 over all that stands
// before it, so that a secret scanner knows a leaked one.
const (
	keyPrefix         = "mcp_ak_"
	keyRandomLength   = 43 // log2(62^43) = 256.03
	keyChecksumLength = 6  // 62^6 > 2^32
	base62            = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewKey makes an admin key. Store it with [EnsureKey] or storage.Store.CreateAdminKey.
func NewKey() string {
	key := []byte(keyPrefix)
	for range keyRandomLength {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		key = append(key, base62[n.Int64()])
	}
	sum := crc32.ChecksumIEEE(key)
	var checksum [keyChecksumLength]byte
	for i := len(checksum) - 1; i >= 0; i-- {
		checksum[i] = base62[sum%62]
		sum /= 62
	}
	return string(append(key, checksum[:]...))
}
