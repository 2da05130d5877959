package provider

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/ory/fosite"
)

// tokenKind is one prefix with its keys, the newest first.
type tokenKind struct {
	kind   fosite.TokenType
	prefix string
	keys   []tokenKey
}

// tokenKey is what one kind of token is made with. Its name says so in each token, without saying anything of the
// secret. It is a pool of HMACs under the key, which are set up once and used again: every request computes a few.
type tokenKey struct {
	secret [secretBytes]byte
	made   madeWith   // currentSecret or previousSecret
	macs   *sync.Pool // of *keyedMAC
}

// keyedMAC is an HMAC with room for what it reads and what it says: a [hash.Hash] moves both to the heap.
type keyedMAC struct {
	hash.Hash
	message []byte
	sum     [sha256.Size]byte
}

// mac is the HMAC of message under the key.
func (k *tokenKey) mac(message []byte) [sha256.Size]byte {
	mac := k.macs.Get().(*keyedMAC)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.message = append(mac.message[:0], message...)
	mac.Write(mac.message)
	mac.Sum(mac.sum[:0])
	return mac.sum
}

const (
	timeBytes   = 6 // milliseconds since 1970, as in a UUID of version 7
	secretBytes = 4
	randomBytes = 32
	bodyBytes   = timeBytes + secretBytes + randomBytes
	// unnamedBytes is the body of a token of earlier versions, which does not name its secret.
	unnamedBytes = timeBytes + randomBytes

	encodedMACLength = 43 // in unpadded base64
)

var (
	tokenEncoding        = base64.RawURLEncoding.Strict()
	encodedBodyLength    = tokenEncoding.EncodedLen(bodyBytes)
	encodedUnnamedLength = tokenEncoding.EncodedLen(unnamedBytes)
)

// derive makes the keys from the system secrets, the current one first.
func (k *tokenKind) derive(secrets [][]byte) error {
	made := currentSecret
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp token "+k.prefix, sha256.Size)
		if err != nil {
			return fmt.Errorf("provider: derive a key: %w", err)
		}
		name, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp name of the system secret", secretBytes)
		if err != nil {
			return fmt.Errorf("provider: derive a key: %w", err)
		}
		macs := &sync.Pool{New: func() any { return &keyedMAC{Hash: hmac.New(sha256.New, key)} }}
		k.keys = append(k.keys, tokenKey{[secretBytes]byte(name), made, macs})
		made = previousSecret
	}
	return nil
}

func (k *tokenKind) generate(now time.Time) (token, signature string, err error) {
	var milliseconds [8]byte
	binary.BigEndian.PutUint64(milliseconds[:], uint64(now.UnixMilli()))
	t := tokenParts{length: bodyBytes}
	copy(t.bytes[:timeBytes], milliseconds[len(milliseconds)-timeBytes:])
	copy(t.bytes[timeBytes:], k.keys[0].secret[:])
	if _, err := rand.Read(t.bytes[timeBytes+secretBytes:]); err != nil {
		return "", "", err
	}
	t.mac = k.keys[0].mac(t.bytes[:])
	text := append(make([]byte, 0, 128), k.prefix...)
	text = append(tokenEncoding.AppendEncode(text, t.bytes[:]), '.')
	token = string(tokenEncoding.AppendEncode(text, t.mac[:]))
	t.encodedMAC = token[len(token)-encodedMACLength:]
	return token, t.signature(), nil
}

// tokenParts is a token taken apart.
type tokenParts struct {
	bytes      [bodyBytes]byte
	length     int // of the body: bodyBytes or unnamedBytes
	mac        [sha256.Size]byte
	encodedMAC string
}

func (t *tokenParts) time() time.Time {
	var milliseconds [8]byte
	copy(milliseconds[len(milliseconds)-timeBytes:], t.bytes[:timeBytes])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(milliseconds[:])))
}

func (t *tokenParts) signature() string {
	var text [2*timeBytes + 1 + encodedMACLength + 1 + 2*secretBytes]byte
	signature := append(hex.AppendEncode(text[:0], t.bytes[:timeBytes]), '~')
	signature = append(signature, t.encodedMAC...)
	if t.length == bodyBytes {
		signature = hex.AppendEncode(append(signature, '~'), t.bytes[timeBytes:timeBytes+secretBytes])
	}
	return string(signature)
}

// parse takes token apart and tells whether it has the form of this kind.
func (k *tokenKind) parse(token string, t *tokenParts) bool {
	halves, ok := strings.CutPrefix(token, k.prefix)
	if !ok {
		return false
	}
	encodedBody, encodedMAC, ok := strings.Cut(halves, ".")
	if !ok || len(encodedMAC) != encodedMACLength {
		return false
	}
	switch len(encodedBody) {
	case encodedBodyLength:
		t.length = bodyBytes
	case encodedUnnamedLength:
		t.length = unnamedBytes
	default:
		return false
	}
	if n, err := tokenEncoding.Decode(t.bytes[:], []byte(encodedBody)); err != nil || n != t.length {
		return false
	}
	if n, err := tokenEncoding.Decode(t.mac[:], []byte(encodedMAC)); err != nil || n != len(t.mac) {
		return false
	}
	t.encodedMAC = encodedMAC
	return true
}

// made tells which of our keys the token was made with.
func (k *tokenKind) made(t *tokenParts) madeWith {
	name, named := [secretBytes]byte(t.bytes[timeBytes:]), t.length == bodyBytes
	known := !named
	for i := range k.keys {
		key := &k.keys[i]
		if named && key.secret != name {
			continue
		}
		known = true
		if want := key.mac(t.bytes[:t.length]); hmac.Equal(want[:], t.mac[:]) {
			return key.made
		}
	}
	if known {
		return noSecret
	}
	return missingSecrets
}
