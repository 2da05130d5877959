package provider

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
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

// TokenStrategy makes and checks opaque tokens: prefix, 256 random bits, a dot, and their HMAC-SHA-256. Each kind of
// token has a key of its own, derived from the system secret (RFC 5869), so that one kind never passes for
// another.
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
	tokenBytes  = 32
	encodedHalf = 43 // 32 bytes in unpadded base64
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

func (k *tokenKind) generate() (token, signature string, err error) {
	var random [tokenBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", "", err
	}
	var mac [sha256.Size]byte
	signature = tokenEncoding.EncodeToString(sum(k.keys[0], random[:], mac[:0]))
	return k.prefix + tokenEncoding.EncodeToString(random[:]) + "." + signature, signature, nil
}

// signature is the second half of token, or "" when token was not made with one of our keys.
func (k *tokenKind) signature(token string) string {
	body, ok := strings.CutPrefix(token, k.prefix)
	if !ok || len(body) != 2*encodedHalf+1 || body[encodedHalf] != '.' {
		return ""
	}
	var random, given, want [tokenBytes]byte
	if _, err := tokenEncoding.Decode(random[:], []byte(body[:encodedHalf])); err != nil {
		return ""
	}
	if _, err := tokenEncoding.Decode(given[:], []byte(body[encodedHalf+1:])); err != nil {
		return ""
	}
	for _, key := range k.keys {
		if hmac.Equal(sum(key, random[:], want[:0]), given[:]) {
			return body[encodedHalf+1:]
		}
	}
	return ""
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
	if kind.signature(token) == "" {
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
	return s.access.generate()
}

func (s *TokenStrategy) ValidateAccessToken(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(&s.access, token, r, fosite.AccessToken, s.config.GetAccessTokenLifespan(ctx))
}

// RefreshTokenSignature implements [oauth2.RefreshTokenStrategy], like the methods below it.
func (s *TokenStrategy) RefreshTokenSignature(_ context.Context, token string) string {
	return s.refresh.signature(token)
}

func (s *TokenStrategy) GenerateRefreshToken(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.refresh.generate()
}

func (s *TokenStrategy) ValidateRefreshToken(_ context.Context, r fosite.Requester, token string) error {
	return s.validate(&s.refresh, token, r, fosite.RefreshToken, 0)
}

// AuthorizeCodeSignature implements [oauth2.AuthorizeCodeStrategy], like the methods below it.
func (s *TokenStrategy) AuthorizeCodeSignature(_ context.Context, token string) string {
	return s.code.signature(token)
}

func (s *TokenStrategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.code.generate()
}

func (s *TokenStrategy) ValidateAuthorizeCode(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(&s.code, token, r, fosite.AuthorizeCode, s.config.GetAuthorizeCodeLifespan(ctx))
}
