package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"slices"
	"strings"

	"fosite-mcp/internal/lengths"
)

// digest stands for parts in what we sign, and says nothing of them. It is no signature: anybody can compute it. Unlike
// one it is the same whatever key a replica has.
func digest(purpose string, parts ...string) string { return bind(sha256.New(), purpose, parts) }

// bind binds parts together for one purpose.
func bind(h hash.Hash, purpose string, parts []string) string {
	lengths.Write(h, append([]string{"fosite-mcp login 1", purpose}, parts...)...)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// signer makes values that come back to us unchanged or not at all. It signs with the first key, and accepts them all.
type signer struct{ keys [][]byte }

func (s signer) mac(purpose string, parts ...string) string {
	return bind(hmac.New(sha256.New, s.keys[0]), purpose, parts)
}

func (s signer) valid(mac, purpose string, parts ...string) bool {
	return slices.ContainsFunc(s.keys, func(key []byte) bool {
		return hmac.Equal([]byte(mac), []byte(bind(hmac.New(sha256.New, key), purpose, parts)))
	})
}

// seal writes value (a struct of ours, which always encodes) as text that open accepts for the same purpose only.
// Anybody can read it; nobody else can write it.
func (s signer) seal(purpose string, value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	payload := base64.RawURLEncoding.EncodeToString(encoded)
	return payload + "." + s.mac(purpose, payload)
}

func (s signer) open(purpose, sealed string, into any) bool {
	payload, mac, ok := strings.Cut(sealed, ".")
	if !ok || !s.valid(mac, purpose, payload) {
		return false
	}
	encoded, err := base64.RawURLEncoding.DecodeString(payload)
	return err == nil && json.Unmarshal(encoded, into) == nil
}
