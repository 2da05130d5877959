package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const assertionLifespan = time.Minute

// ClientKey signs the assertions with which a service authenticates
// (private_key_jwt, RFC 7523 §2.2).
type ClientKey struct {
	// ID is the "kid" under which the public key is registered.
	ID string
	// Signer is the private key: ECDSA on P-256 (ES256), Ed25519 (EdDSA), or
	// RSA of 2048 bits or more (RS256). It may be in a key store.
	Signer crypto.Signer
}

// SecretFile returns a function for [Config.Secret] that reads the secret from
// a file at each request: replace the file, and no restart is needed. Spaces
// and line breaks around the secret do not count.
func SecretFile(path string) func() (string, error) {
	return func() (string, error) {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		secret := strings.TrimSpace(string(content))
		if secret == "" {
			return "", fmt.Errorf("the file %s holds no secret", path)
		}
		return secret, nil
	}
}

// credentials prove who this service is. Exactly one of secret and key is set.
type credentials struct {
	clientID string
	secret   func() (string, error)
	inBody   bool // the secret goes into the form (client_secret_post)
	key      func() (ClientKey, error)
	audience string // of assertions
	now      func() time.Time
}

func (c *Config) credentials() credentials {
	made := credentials{clientID: c.ClientID, secret: c.Secret, inBody: c.SecretInBody, key: c.Key, audience: c.Issuer, now: time.Now}
	if c.ClientSecret != "" {
		secret := c.ClientSecret
		made.secret = func() (string, error) { return secret, nil }
	}
	return made
}

func (c *Config) credentialProblem() error {
	ways := 0
	for _, set := range []bool{c.ClientSecret != "", c.Secret != nil, c.Key != nil} {
		if set {
			ways++
		}
	}
	switch {
	case c.ClientID == "" || ways == 0:
		return errors.New("client id or client secret is missing: set ClientID, and ClientSecret, Secret or Key")
	case ways > 1:
		return errors.New("more than one of ClientSecret, Secret and Key is set: keep one of them")
	case c.SecretInBody && c.Key != nil:
		return errors.New("a client with Key sends no secret, and SecretInBody is set: leave it out")
	case c.Key != nil && c.Issuer == "":
		return errors.New("the key signs assertions for Issuer, which is missing: set it, or call Discover")
	}
	return nil
}

// add puts the credentials into the header or the form. It returns the secret,
// so that a caller can tell whether it has been replaced meanwhile.
func (c *credentials) add(header http.Header, form url.Values) (secret string, err error) {
	if c.key != nil {
		return "", c.sign(form)
	}
	secret, err = c.secret()
	switch {
	case err != nil:
		return "", fmt.Errorf("reading this service's client secret: %w", err)
	case secret == "":
		return "", errors.New("this service's client secret is empty: check what Config.Secret returns")
	case c.inBody:
		form.Set("client_id", c.clientID)
		form.Set("client_secret", secret)
	default:
		header["Authorization"] = []string{basicAuthorization(c.clientID, secret)}
	}
	return secret, nil
}

// sign adds a new assertion. It is good once.
func (c *credentials) sign(form url.Values) error {
	key, err := c.key()
	if err != nil {
		return fmt.Errorf("reading this service's key: %w", err)
	}
	now := c.now()
	assertion, err := key.sign(map[string]any{
		"iss": c.clientID, "sub": c.clientID, "aud": c.audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLifespan).Unix(),
	})
	if err != nil {
		return fmt.Errorf("signing with this service's key: %w", err)
	}
	form.Set("client_id", c.clientID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

func (k ClientKey) sign(claims map[string]any) (string, error) {
	algorithm, err := k.algorithm()
	if err != nil {
		return "", err
	}
	header := map[string]string{"typ": "client-authentication+jwt", "alg": algorithm}
	if k.ID != "" {
		header["kid"] = k.ID
	}
	var parts [2]string
	for i, part := range []any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(text)
	}
	message := parts[0] + "." + parts[1]
	signature, err := k.signature(algorithm, []byte(message))
	if err != nil {
		return "", err
	}
	return message + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (k ClientKey) algorithm() (string, error) {
	if k.Signer == nil {
		return "", errors.New("the Signer of ClientKey is missing")
	}
	switch public := k.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return algES256, nil
		}
	case *rsa.PublicKey:
		if public.N.BitLen() >= leastRSA {
			return algRS256, nil
		}
	case ed25519.PublicKey:
		return algEdDSA, nil
	}
	return "", errors.New("the Signer of ClientKey is neither ECDSA on P-256 nor Ed25519 nor RSA of 2048 bits or more: make a new key")
}

func (k ClientKey) signature(algorithm string, message []byte) ([]byte, error) {
	if algorithm == algEdDSA {
		return k.Signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	signature, err := k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil || algorithm == algRS256 {
		return signature, err
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &pair); err != nil || len(rest) > 0 || pair.R.BitLen() > 256 || pair.S.BitLen() > 256 {
		return nil, errors.New("the Signer of ClientKey made something that is no ECDSA signature")
	}
	return append(pair.R.FillBytes(make([]byte, 32)), pair.S.FillBytes(make([]byte, 32))...), nil
}

// basicAuthorization form-encodes both parts before joining them (RFC 6749 §2.3.1).
func basicAuthorization(id, secret string) string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}
