package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"strings"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"
)

// curveAlgorithms ties each curve to its one algorithm (RFC 7518 §3.4).
var curveAlgorithms = map[elliptic.Curve]string{
	elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512",
}

// checkSignature verifies the assertion with the client's registered keys, inline or at its jwks_uri.
func (v *assertionVerifier) checkSignature(ctx context.Context, token *jwt.JSONWebToken, client fosite.OpenIDConnectClient) error {
	if pinned := client.GetTokenEndpointAuthSigningAlgorithm(); pinned != "" && pinned != token.Headers[0].Algorithm {
		return refuseAssertion("alg is not the one the client registered")
	}
	if set := client.GetJSONWebKeys(); set != nil && len(set.Keys) > 0 {
		if !signedBy(token, set) {
			return refuseAssertion("no registered key verifies it")
		}
		return nil
	}
	location := client.GetJSONWebKeysURI()
	if location == "" || v.keys == nil {
		return refuseAssertion("no keys of the client to verify it with")
	}
	return v.checkSignatureAt(ctx, token, client, location)
}

// checkSignatureAt verifies the assertion with the keys at a location.
func (v *assertionVerifier) checkSignatureAt(ctx context.Context, token *jwt.JSONWebToken, client fosite.OpenIDConnectClient, location string) error {
	if pinned := client.GetTokenEndpointAuthSigningAlgorithm(); pinned != "" && pinned != token.Headers[0].Algorithm {
		return refuseAssertion("alg is not the one the client registered")
	}
	ctx = forClient(ctx, client)
	known, err := v.resolve(ctx, location, false)
	if err != nil {
		return err
	}
	if signedBy(token, known) {
		return nil
	}
	// The client may have changed its keys. The fetcher limits how often a location is asked again.
	fresh, err := v.resolve(ctx, location, true)
	if err != nil {
		return err
	}
	if fresh == known || !signedBy(token, fresh) {
		return refuseAssertion("no key at the client's jwks_uri verifies it")
	}
	return nil
}

// resolve fetches keys. Whatever the fetcher does not call invalid_client is an outage: it says nothing about the client.
func (v *assertionVerifier) resolve(ctx context.Context, location string, ignoreCache bool) (*josev3.JSONWebKeySet, error) {
	set, err := v.keys.Resolve(ctx, location, ignoreCache)
	if errors.Is(err, fosite.ErrInvalidClient) {
		return nil, refuseAssertion(fosite.ErrorToRFC6749Error(err).DebugField)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return set, nil
}

// signedBy tells whether one of the keys that fit the token's header verifies it.
func signedBy(token *jwt.JSONWebToken, set *josev3.JSONWebKeySet) bool {
	if set == nil {
		return false
	}
	header, tried := token.Headers[0], 0
	for i := range set.Keys {
		key := &set.Keys[i]
		if header.KeyID != "" && header.KeyID != key.KeyID || !fits(key, header.Algorithm) {
			continue
		}
		if tried++; tried > maxKeysTried {
			return false
		}
		verifier := key.Key
		if public, ok := verifier.(ed25519.PublicKey); ok {
			verifier = ed25519Verifier(public)
		}
		if token.Claims(verifier) == nil {
			return true
		}
	}
	return false
}

// ed25519Verifier verifies a signature under either name: EdDSA (RFC 8037) or Ed25519 (RFC 9864), which go-jose does not know.
type ed25519Verifier ed25519.PublicKey

// VerifyPayload implements [jose.OpaqueVerifier].
func (v ed25519Verifier) VerifyPayload(payload, signature []byte, alg jose.SignatureAlgorithm) error {
	if alg != jose.EdDSA && alg != "Ed25519" || len(v) != ed25519.PublicKeySize {
		return jose.ErrUnsupportedAlgorithm
	}
	if !ed25519.Verify(ed25519.PublicKey(v), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}

// fits tells whether key may verify signatures of alg. A key without use or alg says nothing against it
// (RFC 7517 §4.2, §4.4). Symmetric and private keys fit nothing.
func fits(key *josev3.JSONWebKey, alg string) bool {
	if !key.Valid() || key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		// RFC 7518 §3.3 sets the minimum; beyond the maximum a verification costs too much.
		bits := public.N.BitLen()
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && bits >= 2048 && bits <= 8192
	case *ecdsa.PublicKey:
		return alg == curveAlgorithms[public.Curve]
	case ed25519.PublicKey:
		return alg == "EdDSA" || alg == "Ed25519"
	}
	return false
}
