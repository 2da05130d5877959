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
	"slices"
	"strings"
	"sync"
	"time"

	"fosite-mcp/internal/reqinfo"

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

// TokenStrategy makes and checks tokens. Access tokens may be JWTs, see [TokenStrategy.UseJWT]. The others are opaque: prefix, time, the name of a secret and 256 random bits, a dot, and the
// HMAC-SHA-256 of these. Each kind of token has a key of its own, derived from the system secret (RFC 5869), so that one
// kind never passes for another.
//
// A signature is the time (twelve hexadecimal digits and "~"), the HMAC and the name of the secret. The storage package
// files tokens in the order of such times, so that a new one goes to the end of its table and not to some page in the middle.
//
// The Signature methods check the HMAC and return "" for anything that was not made here. So whoever knows only
// the half of a token that serves as its key in the database cannot make the server act on it. What was made by another
// replica with a secret that is missing here is told apart by the database, see [TokenStrategy.UnverifiedSignature].
type TokenStrategy struct {
	config  lifespans
	now     func() time.Time
	access  tokenKind
	refresh tokenKind
	code    tokenKind
	jwtMAC  tokenKind
	jwt     *JWTAccessTokens // nil: no access token is a JWT

	// onMissingSecret is told about each token that was made with a secret which is missing here.
	onMissingSecret func(ctx context.Context, kind fosite.TokenType)
}

type lifespans interface {
	fosite.AccessTokenLifespanProvider
	fosite.AuthorizeCodeLifespanProvider
}

// NewTokenStrategy derives the keys from secret, which new tokens are made with, and from previous ones, whose
// tokens go on working. Secrets are at least [MinimumSecret] bytes long.
func NewTokenStrategy(config lifespans, secret []byte, previous ...[]byte) (*TokenStrategy, error) {
	s := &TokenStrategy{config: config, now: time.Now, onMissingSecret: func(context.Context, fosite.TokenType) {}}
	secrets := append([][]byte{secret}, previous...)
	for i, secret := range secrets {
		if len(secret) < MinimumSecret {
			return nil, fmt.Errorf("provider: system secret %d has %d bytes; it needs at least %d", i, len(secret), MinimumSecret)
		}
	}
	s.access = tokenKind{kind: fosite.AccessToken, prefix: AccessTokenPrefix}
	s.refresh = tokenKind{kind: fosite.RefreshToken, prefix: RefreshTokenPrefix}
	s.code = tokenKind{kind: fosite.AuthorizeCode, prefix: AuthorizeCodePrefix}
	s.jwtMAC = tokenKind{kind: fosite.AccessToken, prefix: "jwt"}
	for _, k := range []*tokenKind{&s.access, &s.refresh, &s.code, &s.jwtMAC} {
		if err := k.derive(secrets); err != nil {
			return nil, err
		}
	}
	return s, nil
}

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
	macs   *sync.Pool
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

// derive makes the keys from the system secrets.
func (k *tokenKind) derive(secrets [][]byte) error {
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp token "+k.prefix, sha256.Size)
		if err != nil {
			return fmt.Errorf("provider: derive a key: %w", err)
		}
		name, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp name of the system secret", secretBytes)
		if err != nil {
			return fmt.Errorf("provider: derive a key: %w", err)
		}
		k.keys = append(k.keys, tokenKey{[secretBytes]byte(name), &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}})
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
	var mac [sha256.Size]byte
	t.encodedMAC = tokenEncoding.EncodeToString(sum(k.keys[0].macs, t.bytes[:], mac[:0]))
	return k.prefix + tokenEncoding.EncodeToString(t.bytes[:]) + "." + t.encodedMAC, t.signature(), nil
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
	var want [sha256.Size]byte
	name, named := [secretBytes]byte(t.bytes[timeBytes:]), t.length == bodyBytes
	known := !named
	for i, key := range k.keys {
		if named && key.secret != name {
			continue
		}
		known = true
		if hmac.Equal(sum(key.macs, t.bytes[:t.length], want[:0]), t.mac[:]) {
			return secretAt(i)
		}
	}
	if known {
		return noSecret
	}
	return missingSecrets
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
func (s *TokenStrategy) validate(ctx context.Context, kind fosite.TokenType, token string, r fosite.Requester, fallback time.Duration) error {
	checked := s.checked(ctx, token)
	if !checked.ours() || checked.kind != kind || checked.signature == "" {
		return fosite.ErrTokenSignatureMismatch.WithDebug(errNotOurs.Error())
	}
	if s.expired(r, kind, fallback) {
		return fosite.ErrTokenExpired
	}
	if checked.made == previousSecret {
		reqinfo.Note(ctx).PreviousSecret = string(kind)
	}
	return nil
}

func (s *TokenStrategy) expired(r fosite.Requester, tokenType fosite.TokenType, fallback time.Duration) bool {
	end := r.GetSession().GetExpiresAt(tokenType)
	if end.IsZero() && fallback > 0 {
		end = r.GetRequestedAt().Add(fallback)
	}
	return !end.IsZero() && !s.now().Before(end)
}

// AccessTokenSignature implements [oauth2.AccessTokenStrategy], like the methods below it.
func (s *TokenStrategy) AccessTokenSignature(ctx context.Context, token string) string {
	return s.signature(ctx, fosite.AccessToken, token)
}

func (s *TokenStrategy) GenerateAccessToken(ctx context.Context, r fosite.Requester) (token, signature string, err error) {
	if s.jwt != nil && slices.ContainsFunc(r.GetGrantedAudience(), s.jwt.For) {
		return s.jwt.generate(ctx, r, s.now(), s.config.GetAccessTokenLifespan(ctx))
	}
	return s.access.generate(s.now())
}

func (s *TokenStrategy) ValidateAccessToken(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(ctx, fosite.AccessToken, token, r, s.config.GetAccessTokenLifespan(ctx))
}

// RefreshTokenSignature implements [oauth2.RefreshTokenStrategy], like the methods below it.
func (s *TokenStrategy) RefreshTokenSignature(ctx context.Context, token string) string {
	return s.signature(ctx, fosite.RefreshToken, token)
}

func (s *TokenStrategy) GenerateRefreshToken(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.refresh.generate(s.now())
}

func (s *TokenStrategy) ValidateRefreshToken(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(ctx, fosite.RefreshToken, token, r, 0)
}

// AuthorizeCodeSignature implements [oauth2.AuthorizeCodeStrategy], like the methods below it.
func (s *TokenStrategy) AuthorizeCodeSignature(ctx context.Context, token string) string {
	return s.signature(ctx, fosite.AuthorizeCode, token)
}

func (s *TokenStrategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (token, signature string, err error) {
	return s.code.generate(s.now())
}

func (s *TokenStrategy) ValidateAuthorizeCode(ctx context.Context, r fosite.Requester, token string) error {
	return s.validate(ctx, fosite.AuthorizeCode, token, r, s.config.GetAuthorizeCodeLifespan(ctx))
}
