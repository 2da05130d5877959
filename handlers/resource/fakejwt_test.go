package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"time"
)

const issuer = "https://auth.example.com"

// testKey is a key that signs tokens.
type testKey struct {
	kid, algorithm string
	signer         crypto.Signer
}

func makeKey(kid, algorithm string) testKey {
	var signer crypto.Signer
	var err error
	switch algorithm {
	case algES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algRS256:
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return testKey{kid, algorithm, signer}
}

var testKeys = sync.OnceValue(func() map[string]testKey {
	return map[string]testKey{
		algES256: makeKey("es", algES256), algRS256: makeKey("rs", algRS256), algEdDSA: makeKey("ed", algEdDSA),
		"other": makeKey("other", algES256),
	}
})

func base64url(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwk is the public half.
func (k testKey) jwk() map[string]any {
	jwk := map[string]any{"kid": k.kid, "alg": k.algorithm, "use": "sig"}
	switch public := k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, _ := public.Bytes()
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", base64url(point[1:33]), base64url(point[33:])
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", base64url(public.N.Bytes()), base64url(big.NewInt(int64(public.E)).Bytes())
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", base64url(public)
	}
	return jwk
}

func (k testKey) signature(message string) []byte {
	digest := sha256.Sum256([]byte(message))
	switch key := k.signer.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			panic(err)
		}
		return signature
	}
	return ed25519.Sign(k.signer.(ed25519.PrivateKey), []byte(message))
}

// raw signs a header and a payload as they are.
func (k testKey) raw(header, payload string) string {
	message := base64url([]byte(header)) + "." + base64url([]byte(payload))
	return message + "." + base64url(k.signature(message))
}

// claimsAt are those of a good token that was issued at a time.
func claimsAt(now time.Time) map[string]any {
	return map[string]any{
		"iss": issuer, "aud": here, "sub": "joe", "client_id": "ci", "scope": "mcp:search mcp:read", "jti": "id-1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// token signs a good token, but for the members that are given: nil leaves one
// out.
func (k testKey) token(now time.Time, edit map[string]any) string {
	header := map[string]any{"typ": "at+jwt", "alg": k.algorithm, "kid": k.kid}
	claims := claimsAt(now)
	maps.Copy(claims, edit)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	return k.raw(string(h), string(c))
}

func (a *authorization) jwks(w http.ResponseWriter) error {
	a.mu.Lock()
	fails, lag := a.keysFail, a.keysLag
	a.keysFetched++
	set := map[string]any{}
	list := []any{}
	for _, key := range a.keys {
		list = append(list, key.jwk())
	}
	a.mu.Unlock()
	time.Sleep(lag)
	if fails {
		return errors.New("connection refused")
	}
	set["keys"] = list
	w.Header().Set("Cache-Control", "public, max-age=300")
	return json.NewEncoder(w).Encode(set)
}

func (a *authorization) fetches() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keysFetched
}

// jwtConfig is for a service that verifies tokens of this server.
func (a *authorization) jwtConfig(t testing.TB) JWTConfig {
	t.Helper()
	for _, algorithm := range []string{algES256, algRS256, algEdDSA} {
		a.keys = append(a.keys, testKeys()[algorithm])
	}
	config, _ := a.config(t)
	config.Cache, config.Issuer = nil, issuer
	return JWTConfig{Config: config, JWKS: issuer + "/jwks.json"}
}

// offline is a verifier that follows no feed.
func (a *authorization) offline(t testing.TB, edit ...func(*JWTConfig)) *JWTVerifier {
	t.Helper()
	config := a.jwtConfig(t)
	config.IgnoreRevocations = true
	for _, e := range edit {
		e(&config)
	}
	return startedJWT(t, config)
}

func startedJWT(t testing.TB, config JWTConfig) *JWTVerifier {
	t.Helper()
	v, err := NewJWTVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}
