package provider

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"

	"fosite-mcp/internal/lengths"

	lru "github.com/hashicorp/golang-lru/v2"
)

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
	if _, err := rand.Read(v.key[:]); err != nil {
		panic(err) // crypto/rand does not fail
	}
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
