package resource

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// ErrInactive is wrapped by every error of a [Verifier] that means: this
// token must not be accepted. It may be unknown, expired, revoked, of another
// resource or of another kind. Any other error means that the question could
// not be answered.
var ErrInactive = errors.New("access token is not active")

// A Verifier checks an access token. [Introspector] and [JWTVerifier] are.
//
// Verify returns a token that is active right now, or an error that wraps
// [ErrInactive] when it is not, or any other error when that is not known (an
// outage). It must be safe for concurrent use and must not put the token into
// its errors.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Token, error)
}

// ResourceVerifier is a [Verifier] that knows for which resource it verifies
// tokens. Without it set [Bearer.Resource].
type ResourceVerifier interface {
	Verifier
	Resource() string
}

var _ ResourceVerifier = (*Introspector)(nil)

// Token is what the authorization server says about an active access token.
// Its fields are read-only: requests may share them. Subject and SubjectIssuer
// together name a person: two enterprises may call theirs by the same Subject.
type Token struct {
	ID            string    // jti: names the token in logs; it is not a secret
	ClientID      string    // client_id: the client that the token was issued to
	ClientName    string    // client_name
	Subject       string    // sub: the person, or the client itself for a machine
	SubjectIssuer string    // iss of sub_id: who has named Subject; empty: the authorization server
	Username      string    // username: empty for a machine
	Issuer        string    // iss
	Scope         []string  // scope, split at the spaces
	Audience      []string  // aud: resource identifiers
	Groups        []string  // groups
	Tools         []string  // mcp.tools: the MCP tools that the scopes allow
	IssuedAt      time.Time // iat; zero if not given
	ExpiresAt     time.Time // exp; zero if not given

	raw []byte
}

// HasScope reports whether scope was granted. A nil token has no scope.
func (t *Token) HasScope(scope string) bool {
	return t != nil && slices.Contains(t.Scope, scope)
}

// HasTool reports whether the authorization server allows the MCP tool. A nil
// token, and one about which the server named no tools, has none.
func (t *Token) HasTool(tool string) bool {
	return t != nil && slices.Contains(t.Tools, tool)
}

// Claims decodes the whole introspection answer into v, or the payload of the
// JWT, for members that Token has no field for. It fails on a token that did
// not come from an [Introspector] or a [JWTVerifier].
func (t *Token) Claims(v any) error {
	if t == nil || t.raw == nil {
		return errors.New("resource: this token holds no claims to decode: it comes from no verifier of this package")
	}
	return json.Unmarshal(t.raw, v)
}

type tokenKey struct{}

// ContextWithToken returns a context in which [TokenFromContext] finds the
// token: for tests of handlers that stand behind [RequireBearer].
func ContextWithToken(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// TokenFromContext returns the token of the request that [RequireBearer] let
// through, or nil when there is none. The methods of a nil token are safe and
// deny everything.
//
// It returns nil when that request has been answered. A session that outlives
// its first request keeps that request's context: in the Go SDK for MCP set
// StreamableHTTPOptions.Stateless, so that each request has its own, or see
// docs/protect.md. Work that goes on after the answer takes the token along.
func TokenFromContext(ctx context.Context) *Token {
	token, _ := ctx.Value(tokenKey{}).(*Token)
	return token
}
