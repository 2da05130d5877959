package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
const (
	algES256   = "ES256"
	algRS256   = "RS256"
	algEdDSA   = "EdDSA"
	algEd25519 = "Ed25519"
)

const (
	leastRSA = 2048 // bits; RFC 7518 §3.3
	mostRSA  = 8192
	mostKeys = 100
)

// publicKey is a key of the issuer. Its kind decides about the algorithm, not
// the header of a token (RFC 8725 §3.1).
type publicKey struct {
	key       crypto.PublicKey
	algorithm string // the one that the JWK names; empty: it names none
}

func (k publicKey) verify(algorithm, message string, signature []byte) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	digest := sha256.Sum256([]byte(message))
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		if algorithm != algES256 || len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	case *rsa.PublicKey:
		return algorithm == algRS256 && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case ed25519.PublicKey:
		return (algorithm == algEdDSA || algorithm == algEd25519) && ed25519.Verify(key, []byte(message), signature)
	}
	return false
}

// parseKeySet returns the keys of a JWK Set (RFC 7517 §5) that can verify
// signatures, by their kid. Keys of other kinds are left out.
func parseKeySet(body []byte) (map[string]publicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the answer is not a JWK Set (RFC 7517): %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New(`the answer is not a JWK Set (RFC 7517): it lacks "keys"`)
	}
	if len(set.Keys) > mostKeys {
		return nil, fmt.Errorf("the JWK Set has more than %d keys", mostKeys)
	}
	keys := make(map[string]publicKey)
	for _, raw := range set.Keys {
		kid, key, err := parseKey(raw)
		if _, twice := keys[kid]; err != nil || twice {
			continue
		}
		keys[kid] = key
	}
	return keys, nil
}

func parseKey(raw json.RawMessage) (kid string, key publicKey, err error) {
	found, err := members(raw)
	if err != nil {
		return "", publicKey{}, err
	}
	var kty, use, curve, n, e, x, y string
	var operations []string
	err = decode(found, map[string]any{
		"kid": &kid, "kty": &kty, "use": &use, "alg": &key.algorithm, "key_ops": &operations,
		"crv": &curve, "n": &n, "e": &e, "x": &x, "y": &y,
	})
	switch {
	case err != nil:
	case kid == "":
		err = errors.New("the key has no kid")
	case use != "" && use != "sig", operations != nil && !slices.Contains(operations, "verify"):
		err = errors.New("the key is not for signatures")
	case kty == "EC" && curve == "P-256":
		key.key, err = parseP256(x, y)
	case kty == "RSA":
		key.key, err = parseRSA(n, e)
	case kty == "OKP" && curve == "Ed25519":
		key.key, err = parseEd25519(x)
	default:
		err = errors.New("the key is of a kind that is not used here")
	}
	return kid, key, err
}

func parseP256(x, y string) (*ecdsa.PublicKey, error) {
	point := []byte{4} // uncompressed (SEC 1 §2.3.3)
	for _, coordinate := range []string{x, y} {
		bytes, err := decodePart(coordinate)
		if err != nil || len(bytes) != 32 {
			return nil, errors.New("a coordinate is not 32 bytes in base64url")
		}
		point = append(point, bytes...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

func parseRSA(n, e string) (*rsa.PublicKey, error) {
	modulus, err := decodePart(n)
	if err != nil {
		return nil, errors.New("n is not base64url")
	}
	exponent, err := decodePart(e)
	if err != nil || len(exponent) == 0 || len(exponent) > 4 {
		return nil, errors.New("e is not a small number in base64url")
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if bits := key.N.BitLen(); bits < leastRSA || bits > mostRSA || key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1 {
		return nil, fmt.Errorf("an RSA key has %d to %d bits and an odd exponent", leastRSA, mostRSA)
	}
	return key, nil
}

func parseEd25519(x string) (ed25519.PublicKey, error) {
	bytes, err := decodePart(x)
	if err != nil || len(bytes) != ed25519.PublicKeySize {
		return nil, errors.New("x is not 32 bytes in base64url")
	}
	return bytes, nil
}

// decodePart is base64url without padding (RFC 7515 §2). The decoder alone
// would skip line breaks.
func decodePart(text string) ([]byte, error) {
	for i := range len(text) {
		if c := text[i]; c == '\r' || c == '\n' {
			return nil, errors.New("a line break in base64url")
		}
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}
