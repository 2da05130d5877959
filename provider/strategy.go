package provider

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
)

var _ oauth2.CoreStrategy = (*TokenStrategy)(nil)

// Prefixes tell what a leaked string is, to people and to secret scanners.
const (
	AccessTokenPrefix   = "mcp_at_"
	RefreshTokenPrefix  = "mcp_rt_"
	AuthorizeCodePrefix = "mcp_ac_"
)

// MinimumSecret is the shortest system secret, in bytes.
const MinimumSecret = 32

// TokenStrategy makes and checks opaque tokens: prefix, time and 256 random bits, a dot, and the HMAC-SHA-256 of these.
// Each kind of token has a key of its own, derived from the system secret (RFC 5869), so that one kind never passes for
// another.
//
// A signature is the time (twelve hexadecimal digits and "~") and the HMAC. The storage package files tokens in the order
// of such times, so that a new one goes to the end of its table and not to some page in the middle.
//
// The Signature methods check the HMAC and return "" for anything that was not made here. So whoever knows only
// the half of a token that serves as its key in the database cannot make the server act on it.
type TokenStrategy struct {
	config  lifespans
	now     func() time.Time
	access  tokenKind
	refresh tokenKind
	code    tokenKind
}

type lifespans interface {
	fosite.AccessTokenLifespanProvider
	fosite.AuthorizeCodeLifespanProvider
}

// NewTokenStrategy derives the keys from secret, which new tokens are made with, and from previous ones, whose
// tokens go on working. Secrets are at least [MinimumSecret] bytes long.
func NewTokenStrategy(config lifespans, secret []byte, previous ...[]byte) (*TokenStrategy, error) {
	s := &TokenStrategy{config: config, now: time.Now}
	for i, secret := range append([][]byte{secret}, previous...) {
		if len(secret) < MinimumSecret {
			return nil, fmt.Errorf("provider: system secret %d has %d bytes; it needs at least %d", i, len(secret), MinimumSecret)
		}
	}
	for prefix, kind := range map[string]*tokenKind{
		AccessTokenPrefix: &s.access, RefreshTokenPrefix: &s.refresh, AuthorizeCodePrefix: &s.code,
	} {
		var err error
		if *kind, err = newTokenKind(prefix, append([][]byte{secret}, previous...)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// tokenKind is one prefix with its keys, the newest first. A key is a pool of HMACs under it, which are set up once
// and used again: every request computes a few.
type tokenKind struct {
	prefix string
	keys   []*sync.Pool
}

const (
	timeBytes   = 6 // milliseconds since 1970, as in a UUID of version 7
	randomBytes = 32
	bodyBytes   = timeBytes + randomBytes

	encodedBodyLength = 51 // in unpadded base64
	encodedMACLength  = 43
)

var tokenEncoding = base64.RawURLEncoding.Strict()

func newTokenKind(prefix string, secrets [][]byte) (tokenKind, error) {
	k := tokenKind{prefix: prefix}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp token "+prefix, sha256.Size)
		if err != nil {
			return k, fmt.Errorf("provider: derive a key: %w", err)
		}
		k.keys = append(k.keys, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	return k, nil
}

func (k *tokenKind) generate(now time.Time) (token, signature string, err error) {
	var body [bodyBytes]byte
	var milliseconds [8]byte
	binary.BigEndian.PutUint64(milliseconds[:], uint64(now.UnixMilli()))
	copy(body[:timeBytes], milliseconds[len(milliseconds)-timeBytes:])
	if _, err := rand.Read(body[timeBytes:]); err != nil {
		return "", "", err
	}
	var mac [sha256.Size]byte
	encoded := tokenEncoding.EncodeToString(sum(k.keys[0], body[:], mac[:0]))
	return k.prefix + tokenEncoding.EncodeToString(body[:]) + "." + encoded, signatureOf(body[:], encoded), nil
}

// signature is that of token, or "" when token was not made with one of our keys.
func (k *tokenKind) signature(token string) string {
	var body [bodyBytes]byte
	encodedMAC, ok := k.open(token, &body)
	if !ok {
		return ""
	}
	return signatureOf(body[:], encodedMAC)
}

// open takes token apart and tells whether it was made with one of our keys.
func (k *tokenKind) open(token string, body *[bodyBytes]byte) (encodedMAC string, ok bool) {
	halves, ok := strings.CutPrefix(token, k.prefix)
	if !ok || len(halves) != encodedBodyLength+1+encodedMACLength || halves[encodedBodyLength] != '.' {
		return "", false
	}
	encodedMAC = halves[encodedBodyLength+1:]
	var given, want [sha256.Size]byte
	if _, err := tokenEncoding.Decode(body[:], []byte(halves[:encodedBodyLength])); err != nil {
		return "", false
	}
	if _, err := tokenEncoding.Decode(given[:], []byte(encodedMAC)); err != nil {
		return "", false
	}
	for _, key := range k.keys {
		if hmac.Equal(sum(key, body[:], want[:0]), given[:]) {
			return encodedMAC, true
		}
	}
	return "", false
}

func signatureOf(body []byte, encodedMAC string) string {
	return hex.EncodeToString(body[:timeBytes]) + "~" + encodedMAC
}

func sum(key *sync.Pool, message, into []byte) []byte {
	mac := key.Get().(hash.Hash)
	defer key.Put(mac)
	mac.Reset()
	mac.Write(message)
	return mac.Sum(into)
}

var errNotOurs = errors.New("not a token of this server")

// validate checks a token that was found in the database, and its time. fallback is used when the session does not
// say when the token ends; zero: never.
func (s *TokenStrategy) validate(kind *tokenKind, token string, r fosite.Requester, tokenType fosite.TokenType, fallback time.Duration) error {
	if _, ok := kind.open(token, new([bodyBytes]byte)); !ok {
		return fosite.ErrTokenSignatureMismatch.WithDebug(errNotOurs.Error())
	}
	end := r.GetSession().GetExpiresAt(tokenType)
	if end.IsZero() && fallback > 0 {
		end = r.GetRequestedAt().Add(fallback)
	}
	if !end.IsZero() && !s.now().Before(end) {
		return fosite.ErrTokenExpired
	}
	return nil
}

// AccessTokenSignature implements [oauth2.AccessTokenStrategy], like the methods below it.
func (s *TokenStrategy) AccessTokenSignature(_ context.Context, token string) string {
	return s.access.signature(token)
}

func (s *TokenStrategy) GenerateAccessToken(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.access.generate(s.now())
}

func (s *TokenStrategy) ValidateAccessToken(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(&s.access, token, r, fosite.AccessToken, s.config.GetAccessTokenLifespan(ctx))
}

// RefreshTokenSignature implements [oauth2.RefreshTokenStrategy], like the methods below it.
func (s *TokenStrategy) RefreshTokenSignature(_ context.Context, token string) string {
	return s.refresh.signature(token)
}

func (s *TokenStrategy) GenerateRefreshToken(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.refresh.generate(s.now())
}

func (s *TokenStrategy) ValidateRefreshToken(_ context.Context, r fosite.Requester, token string) error {
	return s.validate(&s.refresh, token, r, fosite.RefreshToken, 0)
}

// AuthorizeCodeSignature implements [oauth2.AuthorizeCodeStrategy], like the methods below it.
func (s *TokenStrategy) AuthorizeCodeSignature(_ context.Context, token string) string {
	return s.code.signature(token)
}

func (s *TokenStrategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.code.generate(s.now())
}

func (s *TokenStrategy) ValidateAuthorizeCode(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(&s.code, token, r, fosite.AuthorizeCode, s.config.GetAuthorizeCodeLifespan(ctx))
}
