package client

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"
	"strconv"

	"github.com/go-jose/go-jose/v3"

	"fosite-mcp/provider/client/strictjson"
)

// signingAlgs leaves out "none" and the symmetric algorithms: whoever knows a public key could sign.
var signingAlgs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}

// SigningAlgorithms are those that a client may sign its assertions with.
func SigningAlgorithms() []string { return slices.Clone(signingAlgs) }

const (
	maxKeys    = 10
	minRSABits = 2048
	maxRSABits = 8192 // a larger one costs too much to verify with
)

// checkKeys looks at the keys that a client signs its assertions with: public ones alone, and strong ones.
func checkKeys(c *Client, m *strictjson.Mistakes) {
	if c.JWKS == nil {
		return
	}
	if n := len(c.JWKS.Keys); n == 0 || n > maxKeys {
		m.Add("/jwks/keys", "invalid", "must hold 1 to %d keys", maxKeys)
		return
	}
	ids := map[string]bool{}
	for i := range c.JWKS.Keys {
		key, at := &c.JWKS.Keys[i], "/jwks/keys/"+strconv.Itoa(i)
		if reason := keyMistake(key); reason != "" {
			m.Add(at, "invalid", "%s", reason)
		}
		if key.KeyID != "" && ids[key.KeyID] {
			m.Add(at+"/kid", "duplicate", "another key has the same kid")
		}
		ids[key.KeyID] = true
	}
}

func keyMistake(key *jose.JSONWebKey) string {
	if !key.IsPublic() {
		return "must be a public key; this one is private or symmetric. Consider it lost, and make a new one"
	}
	if !key.Valid() {
		return "is no valid key"
	}
	if key.Use != "" && key.Use != "sig" {
		return `must be for signatures: use "sig"`
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "must have 2048 to 8192 bits"
		}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() && public.Curve != elliptic.P384() && public.Curve != elliptic.P521() {
			return "must be on the curve P-256, P-384 or P-521"
		}
	case ed25519.PublicKey:
	default:
		return "must be an RSA, EC or Ed25519 key"
	}
	return ""
}
