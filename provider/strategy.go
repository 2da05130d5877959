package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
