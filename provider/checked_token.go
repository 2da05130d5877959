package provider

import (
	"context"
	"time"

	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// madeWith is the system secret that a token was made with.
type madeWith int

const (
	noSecret       madeWith = iota // it is no token of this server
	missingSecrets                 // it names one that is not here, and nobody has verified that
	previousSecret
	currentSecret
)

// checkedToken is what a strategy has found out about a text that may be a token.
type checkedToken struct {
	strategy  *TokenStrategy
	text      string
	kind      fosite.TokenType // empty: no token of this server
	signature string           // empty: no token of this server
	made      madeWith
	// outage is why it is not known whether the text is a JWT of this server; nil: it is known.
	outage error
}

// ours is true for a token that was made with one of the strategy's secrets. It is false for one that names a secret
// which is missing here: its HMAC cannot be checked, and anybody can write such a text.
func (c *checkedToken) ours() bool { return c.made >= previousSecret }

// WithToken checks token, and returns a context in which the strategy's methods need not check it again. signature is the one
// that the token is stored under, if it is a token of this server. It may be one that nobody has verified, see
// [TokenStrategy.UnverifiedSignature]: use it to read ahead, and never to act on what is found.
//
// What is known is used for the same text and by the same strategy alone. Use the context for one request.
func (s *TokenStrategy) WithToken(ctx context.Context, token string) (_ context.Context, signature string) {
	known, checked := reqinfo.Carry[checkedToken](ctx)
	*checked = s.check(ctx, token)
	return known, checked.signature
}

// checked is what is known of token: from ctx when it was checked before, see [TokenStrategy.WithToken].
func (s *TokenStrategy) checked(ctx context.Context, token string) checkedToken {
	if known := reqinfo.Carried[checkedToken](ctx); known != nil && known.strategy == s && known.text == token {
		return *known
	}
	return s.check(ctx, token)
}

// signature is that of a token of this kind which was made with one of our secrets, or "".
func (s *TokenStrategy) signature(ctx context.Context, kind fosite.TokenType, token string) string {
	if checked := s.checked(ctx, token); checked.ours() && checked.kind == kind {
		return checked.signature
	}
	return ""
}

// made tells whether token is of this kind and was made with one of our secrets, expired or not. One of a previous secret is noted.
func (s *TokenStrategy) made(ctx context.Context, kind fosite.TokenType, token string) bool {
	checked := s.checked(ctx, token)
	if !checked.ours() || checked.kind != kind {
		return false
	}
	if checked.made == previousSecret {
		reqinfo.Note(ctx).PreviousSecret = string(kind)
	}
	return true
}

// How far the time in a token may lie from now, so that what was made up at random costs no look at the database.
const (
	oldestToken = 10 * 365 * 24 * time.Hour
	clockSkew   = time.Hour
)

// check takes token apart and computes its HMAC. The prefixes differ, so that it has the form of one kind at most. A token
// that names a secret which is missing here keeps its signature, if its time can be right.
func (s *TokenStrategy) check(ctx context.Context, token string) checkedToken {
	checked := checkedToken{strategy: s, text: token}
	var t tokenParts
	for _, k := range []*tokenKind{&s.access, &s.refresh, &s.code} {
		if !k.parse(token, &t) {
			continue
		}
		made := k.made(&t)
		if made == missingSecrets {
			if age := s.now().Sub(t.time()); age < -clockSkew || age > oldestToken {
				made = noSecret
			}
		}
		if checked.made = made; made != noSecret {
			checked.kind, checked.signature = k.kind, t.signature()
		}
		return checked
	}
	if s.jwt != nil {
		var made madeWith
		checked.signature, made, checked.outage = s.jwt.verify(ctx, token)
		if checked.signature != "" {
			checked.kind, checked.made = fosite.AccessToken, made
		}
	}
	return checked
}
