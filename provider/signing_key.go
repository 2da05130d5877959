package provider

import (
	"context"
	"crypto"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fosite-mcp/internal/lengths"
)

// The algorithms that can sign JWT access tokens (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = "ES256"
	RS256 = "RS256"
	EdDSA = "EdDSA" // with Ed25519
)

// SigningAlgorithms are those that can sign JWT access tokens, the default first.
func SigningAlgorithms() []string { return []string{ES256, RS256, EdDSA} }

const rsaBits = 2048

// storedKey is a key as the store has it.
type storedKey struct {
	ID        string `json:"kid"` // RFC 7638: the thumbprint of the public key
	Algorithm string `json:"alg"`
	Public    []byte `json:"public"`            // PKIX
	Private   []byte `json:"private,omitempty"` // PKCS #8, sealed; gone once the key is retired

	PublishedAt time.Time `json:"published_at"`
	SignsSince  time.Time `json:"signs_since,omitzero"` // zero: it is the next one
	RetiredAt   time.Time `json:"retired_at,omitzero"`
	// EndsAt is when the last token has ended that a retired key has signed; zero: not known yet.
	EndsAt time.Time `json:"ends_at,omitzero"`
}

func (k *storedKey) state() KeyState {
	switch {
	case !k.RetiredAt.IsZero():
		return KeyRetired
	case !k.SignsSince.IsZero():
		return KeyCurrent
	}
	return KeyNext
}

// newStoredKey makes a key and seals it.
func newStoredKey(algorithm string, seal cipher.AEAD, now time.Time) (storedKey, error) {
	private, err := generateKey(algorithm)
	if err != nil {
		return storedKey{}, fmt.Errorf("provider: make a signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return storedKey{}, fmt.Errorf("provider: encode a signing key: %w", err)
	}
	id, err := thumbprint(private.Public())
	if err != nil {
		return storedKey{}, err
	}
	k := storedKey{ID: id, Algorithm: algorithm, Public: public, PublishedAt: now}
	return k, k.seal(seal, private)
}

func generateKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("the algorithm %q is none of %v", algorithm, SigningAlgorithms())
}

func thumbprint(public crypto.PublicKey) (string, error) {
	print, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("provider: name a signing key: %w", err)
	}
	return tokenEncoding.EncodeToString(print), nil
}

// seal encrypts the private half. What it belongs to is authenticated with it, so that no other half takes its place.
func (k *storedKey) seal(seal cipher.AEAD, private crypto.Signer) error {
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return errors.New("provider: a signing key cannot be encoded")
	}
	nonce := make([]byte, seal.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	k.Private = seal.Seal(nonce, nonce, encoded, k.sealedFor())
	return nil
}

func (k *storedKey) sealedFor() []byte {
	return slices.Concat(lengths.Append(nil, k.ID), lengths.Append(nil, k.Algorithm), lengths.Append(nil, k.Public))
}

// open decrypts the private half with the first of seals that fits. It returns nil if none does, or if there is no such half.
func (k *storedKey) open(seals []cipher.AEAD) (private crypto.Signer, with int) {
	for i, seal := range seals {
		if len(k.Private) < seal.NonceSize() {
			return nil, 0
		}
		encoded, err := seal.Open(nil, k.Private[:seal.NonceSize()], k.Private[seal.NonceSize():], k.sealedFor())
		if err != nil {
			continue
		}
		if key, err := x509.ParsePKCS8PrivateKey(encoded); err == nil {
			private, _ = key.(crypto.Signer)
		}
		return private, i
	}
	return nil, 0
}

// signingKey is a key, with what is the same for all its tokens.
type signingKey struct {
	id, algorithm string
	public        crypto.PublicKey
	private       crypto.Signer // nil: retired, or sealed with a secret that is missing here
	header        string        // the first part of its tokens, encoded
	jwk           jose.JSONWebKey
}

// typ of a JWT access token, RFC 9068 §2.1.
const accessTokenType = "at+jwt"

func newSigningKey(k *storedKey, seals []cipher.AEAD) (*signingKey, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("provider: the signing key %s cannot be decoded: %w", k.ID, err)
	}
	fits := false
	switch public.(type) {
	case *ecdsa.PublicKey:
		fits = k.Algorithm == ES256
	case *rsa.PublicKey:
		fits = k.Algorithm == RS256
	case ed25519.PublicKey:
		fits = k.Algorithm == EdDSA
	}
	if !fits {
		return nil, fmt.Errorf("provider: the signing key %s is a %T, and its algorithm is %q", k.ID, public, k.Algorithm)
	}
	header, err := json.Marshal(jwtHeader{k.Algorithm, k.ID, accessTokenType})
	if err != nil {
		return nil, err
	}
	key := &signingKey{
		id: k.ID, algorithm: k.Algorithm, public: public, header: tokenEncoding.EncodeToString(header),
		jwk: jose.JSONWebKey{Key: public, KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"},
	}
	key.private, _ = k.open(seals)
	return key, nil
}

// Of a P-256 signature: r and s, each as long as the order of the curve (RFC 7518 §3.4).
const coordinateBytes = 32

// sign signs message. The key must have a private half.
func (k *signingKey) sign(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 2*coordinateBytes)
		r.FillBytes(signature[:coordinateBytes])
		s.FillBytes(signature[coordinateBytes:])
		return signature, nil
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
	case ed25519.PrivateKey:
		return ed25519.Sign(private, message), nil
	}
	return nil, errMissingKeySecret
}

// verify tells whether signature is one of this key's, by the algorithm of the key and no other.
func (k *signingKey) verify(message, signature []byte) bool {
	sum := sha256.Sum256(message)
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 2*coordinateBytes {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:coordinateBytes]), new(big.Int).SetBytes(signature[coordinateBytes:])
		return ecdsa.Verify(public, sum[:], r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, message, signature)
	}
	return false
}

// ListSigningKeys are the keys of store: the next one, the current one, the retired ones. It needs no secret.
func ListSigningKeys(ctx context.Context, store SigningKeyStore) ([]SigningKey, error) {
	encoded, _, err := store.KeySet(ctx)
	if err != nil {
		return nil, err
	}
	stored, err := decodeKeys(encoded)
	if err != nil {
		return nil, err
	}
	list := make([]SigningKey, len(stored))
	for i := range stored {
		list[i] = stored[i].public()
	}
	return list, nil
}

func decodeKeys(encoded []byte) (stored []storedKey, err error) {
	if len(encoded) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(encoded, &stored); err != nil {
		return nil, fmt.Errorf("provider: the stored signing keys cannot be decoded: %w", err)
	}
	return stored, nil
}

func (k *storedKey) public() SigningKey {
	key := SigningKey{
		ID: k.ID, Algorithm: k.Algorithm, State: k.state(), PublishedAt: k.PublishedAt, SignsSince: k.SignsSince,
		RetiredAt: k.RetiredAt, EndsAt: k.EndsAt,
	}
	if key.State == KeyNext {
		key.MaySign = k.PublishedAt.Add(KeyLead)
	}
	return key
}
