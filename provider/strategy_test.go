package provider

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

func newStrategy(t *testing.T, secrets ...string) *TokenStrategy {
	t.Helper()
	var previous [][]byte
	for _, secret := range secrets[1:] {
		previous = append(previous, []byte(secret))
	}
	config := &fosite.Config{}
	if _, err := Harden(config); err != nil {
		t.Fatal(err)
	}
	s, err := NewTokenStrategy(config, []byte(secrets[0]), previous...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var secretA, secretB = strings.Repeat("a", 32), strings.Repeat("b", 40)

func TestSignatureIsEmptyForWhatWasNotMadeHere(t *testing.T) {
	ctx := context.Background()
	s, stranger := newStrategy(t, secretA), newStrategy(t, secretB)
	token, signature, err := s.GenerateAccessToken(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.AccessTokenSignature(ctx, token); got != signature || got == "" {
		t.Fatalf("signature %q, want %q", got, signature)
	}
	body := strings.TrimPrefix(token, AccessTokenPrefix)
	for name, got := range map[string]string{
		"another server's key":              stranger.AccessTokenSignature(ctx, token),
		"read as a refresh token":           s.RefreshTokenSignature(ctx, token),
		"read as a code":                    s.AuthorizeCodeSignature(ctx, token),
		"relabelled as a refresh token":     s.RefreshTokenSignature(ctx, RefreshTokenPrefix+body),
		"relabelled as a code":              s.AuthorizeCodeSignature(ctx, AuthorizeCodePrefix+body),
		"the signature alone":               s.AccessTokenSignature(ctx, AccessTokenPrefix+strings.Repeat("A", 51)+"."+signature[13:]),
		"without prefix":                    s.AccessTokenSignature(ctx, body),
		"the empty string":                  s.AccessTokenSignature(ctx, ""),
		"the prefix alone":                  s.AccessTokenSignature(ctx, AccessTokenPrefix),
		"a newline inside":                  s.AccessTokenSignature(ctx, token[:20]+"\n"+token[21:]),
		"three parts":                       s.AccessTokenSignature(ctx, token+"."+signature[13:]),
		"another time":                      s.AccessTokenSignature(ctx, AccessTokenPrefix+strings.Repeat("A", 8)+body[8:]),
		"another encoding of the same bits": s.AccessTokenSignature(ctx, sameBits(token)),
	} {
		if got != "" {
			t.Errorf("%s: signature %q, want none", name, got)
		}
	}
}

// sameBits changes the two bits of the last base64 character that do not count.
func sameBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func TestSignaturesAreInTheOrderOfTime(t *testing.T) {
	ctx := context.Background()
	s := newStrategy(t, secretA)
	now := time.UnixMilli(0x018bcfe56800)
	s.now = func() time.Time { return now }
	for _, c := range []struct {
		later time.Duration
		want  string
	}{{0, "018bcfe56800~"}, {time.Millisecond, "018bcfe56801~"}, {255 * time.Millisecond, "018bcfe56900~"}} {
		now = now.Add(c.later)
		if _, signature, _ := s.GenerateAccessToken(ctx, nil); !strings.HasPrefix(signature, c.want) || len(signature) != 13+43+9 {
			t.Errorf("signature %q, want %s, 43 characters and the name of the secret", signature, c.want)
		}
	}
}

func TestTokensOfThePreviousSystemSecretStillWork(t *testing.T) {
	ctx := context.Background()
	token, signature, _ := newStrategy(t, secretA).GenerateAccessToken(ctx, nil)
	if got := newStrategy(t, secretB, secretA).AccessTokenSignature(ctx, token); got != signature {
		t.Errorf("after a rotation: %q, want %q", got, signature)
	}
	if got := newStrategy(t, secretB).AccessTokenSignature(ctx, token); got != "" {
		t.Errorf("once the old secret is gone: %q, want none", got)
	}
}

// Whoever replaces a secret wants to know whether anything that was made with the earlier one still counts.
func TestALiveTokenOfAPreviousSecretIsNoted(t *testing.T) {
	old, s := newStrategy(t, secretA), newStrategy(t, secretB, secretA)
	session := NewSession()
	session.SetExpiresAt(fosite.AccessToken, time.Now().Add(time.Minute))
	ended := NewSession()
	ended.SetExpiresAt(fosite.AccessToken, time.Now().Add(-time.Minute))
	for name, c := range map[string]struct {
		by      *TokenStrategy
		session *Session
		want    string
	}{
		"of the previous secret": {old, session, "access_token"},
		"of the current one":     {s, session, ""},
		"that has expired":       {old, ended, ""},
	} {
		facts := new(reqinfo.Facts)
		ctx := reqinfo.With(t.Context(), reqinfo.Info{Facts: facts})
		token, _, _ := c.by.GenerateAccessToken(ctx, nil)
		_ = s.ValidateAccessToken(ctx, &fosite.Request{Session: c.session}, token)
		if facts.PreviousSecret != c.want {
			t.Errorf("a token %s is noted as %q", name, facts.PreviousSecret)
		}
		// A revocation does not ask whether the token has expired.
		if facts.PreviousSecret = ""; !s.made(ctx, fosite.AccessToken, token) || (facts.PreviousSecret != "") != (c.by == old) {
			t.Errorf("a token %s that is revoked is noted as %q", name, facts.PreviousSecret)
		}
	}
}

// Tokens of earlier versions do not name their secret, and are found under the signature that they were stored with.
func TestTokensThatDoNotNameTheirSecretStillWork(t *testing.T) {
	ctx := context.Background()
	s := newStrategy(t, secretB, secretA)
	key, err := hkdf.Key(sha256.New, []byte(secretA), nil, "fosite-mcp token mcp_at_", sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00}, strings.Repeat("r", 32)...)
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	half := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	token := AccessTokenPrefix + base64.RawURLEncoding.EncodeToString(body) + "." + half
	if got, want := s.AccessTokenSignature(ctx, token), "018bcfe56800~"+half; got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	if got := newStrategy(t, secretB).AccessTokenSignature(ctx, token); got != "" {
		t.Errorf("without its secret: %q, want none", got)
	}
	if _, got := newStrategy(t, secretB).UnverifiedSignature(token); got != "" {
		t.Errorf("nothing tells it from an altered token, which costs no look at the database: %q", got)
	}
}

func TestOnlyATokenThatNamesAMissingSecretIsLookedFor(t *testing.T) {
	ctx := context.Background()
	s, stranger := newStrategy(t, secretA), newStrategy(t, secretB)
	now := time.Now()
	s.now = func() time.Time { return now }
	made := func(at time.Time) string {
		stranger.now = func() time.Time { return at }
		token, _, err := stranger.GenerateAccessToken(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	own, _, _ := s.GenerateAccessToken(ctx, nil)
	theirs, signature, _ := stranger.GenerateAccessToken(ctx, nil)
	refresh, refreshSignature, _ := stranger.GenerateRefreshToken(ctx, nil)
	code, codeSignature, _ := stranger.GenerateAuthorizeCode(ctx, nil)
	for name, c := range map[string]struct {
		token, kind, signature string
	}{
		"their access token":        {theirs, "access_token", signature},
		"their refresh token":       {refresh, "refresh_token", refreshSignature},
		"their code":                {code, "authorize_code", codeSignature},
		"our own":                   {own, "", ""},
		"our own, altered":          {own[:30] + "x" + own[31:], "", ""},
		"altered where none counts": {sameBits(theirs), "", ""},
		"cut off":                   {theirs[:len(theirs)-1], "", ""},
		"lengthened":                {theirs + "A", "", ""},
		"of tomorrow":               {made(now.Add(24 * time.Hour)), "", ""},
		"of the last century":       {made(time.UnixMilli(1)), "", ""},
		"the prefix alone":          {AccessTokenPrefix, "", ""},
		"nothing":                   {"", "", ""},
	} {
		if kind, signature := s.UnverifiedSignature(c.token); string(kind) != c.kind || signature != c.signature {
			t.Errorf("%s: %q %q, want %q %q", name, kind, signature, c.kind, c.signature)
		}
	}
}

func TestAShortSystemSecretIsRefused(t *testing.T) {
	for _, secrets := range [][][]byte{{[]byte(strings.Repeat("a", 31))}, {[]byte(secretA), nil}} {
		if _, err := NewTokenStrategy(&fosite.Config{}, secrets[0], secrets[1:]...); err == nil {
			t.Errorf("accepted secrets of %d bytes and %d previous ones", len(secrets[0]), len(secrets)-1)
		}
	}
}

func TestValidationKnowsTheTime(t *testing.T) {
	ctx := context.Background()
	s := newStrategy(t, secretA)
	now := time.Now().Truncate(time.Millisecond)
	s.now = func() time.Time { return now }
	token, _, _ := s.GenerateAccessToken(ctx, nil)
	refresh, _, _ := s.GenerateRefreshToken(ctx, nil)
	code, _, _ := s.GenerateAuthorizeCode(ctx, nil)
	// askedAt is a request of that time, whose session says nothing of an end.
	askedAt := func(at time.Time) fosite.Requester { return &fosite.Request{Session: NewSession(), RequestedAt: at} }
	request := func(kind fosite.TokenType, end time.Time) fosite.Requester {
		session := NewSession()
		if !end.IsZero() {
			session.SetExpiresAt(kind, end)
		}
		return &fosite.Request{Session: session, RequestedAt: now}
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"in its time":               {s.ValidateAccessToken(ctx, request(fosite.AccessToken, now.Add(time.Minute)), token), true},
		"at its end":                {s.ValidateAccessToken(ctx, request(fosite.AccessToken, now), token), false},
		"just before its end":       {s.ValidateAccessToken(ctx, request(fosite.AccessToken, now.Add(time.Millisecond)), token), true},
		"after its end":             {s.ValidateAccessToken(ctx, request(fosite.AccessToken, now.Add(-time.Minute)), token), false},
		"no end, new":               {s.ValidateAccessToken(ctx, askedAt(now), token), true},
		"no end, in its lifespan":   {s.ValidateAccessToken(ctx, askedAt(now.Add(time.Millisecond-TokenLifespan)), token), true},
		"no end, after it":          {s.ValidateAccessToken(ctx, askedAt(now.Add(-TokenLifespan)), token), false},
		"code, no end":              {s.ValidateAuthorizeCode(ctx, askedAt(now.Add(time.Millisecond-time.Minute)), code), true},
		"code, no end, after it":    {s.ValidateAuthorizeCode(ctx, askedAt(now.Add(-time.Minute)), code), false},
		"code, past":                {s.ValidateAuthorizeCode(ctx, request(fosite.AuthorizeCode, now.Add(-time.Millisecond)), code), false},
		"refresh, no end: never":    {s.ValidateRefreshToken(ctx, askedAt(now.AddDate(-10, 0, 0)), refresh), true},
		"refresh, past":             {s.ValidateRefreshToken(ctx, request(fosite.RefreshToken, now.Add(-time.Minute)), refresh), false},
		"access as a refresh token": {s.ValidateRefreshToken(ctx, request(fosite.RefreshToken, time.Time{}), token), false},
	} {
		if (c.err == nil) != c.want {
			t.Errorf("%s: %v", name, c.err)
		}
	}
}

func BenchmarkAccessTokenSignature(b *testing.B) {
	s, _ := NewTokenStrategy(&fosite.Config{}, []byte(secretA))
	token, _, _ := s.GenerateAccessToken(b.Context(), nil)
	b.ReportAllocs()
	for b.Loop() {
		if s.AccessTokenSignature(b.Context(), token) == "" {
			b.Fatal("no signature")
		}
	}
}
