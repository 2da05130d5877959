package provider

import (
	"maps"
	"reflect"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"
)

// AddClaim adds a member to what introspection answers about token, whatever its session: to the map that GetExtraClaims of
// a [fosite.ExtraClaimsSession] keeps, to the claims of an [oauth2.JWTSessionContainer], and else beside the session. In
// that last case token.GetSession answers a session which carries both; [SessionOf] gives the one within.
func AddClaim(token fosite.AccessRequester, name string, value any) {
	session := token.GetSession()
	if container, ok := session.(oauth2.JWTSessionContainer); ok { // its GetExtraClaims returns a copy of these
		if claims, ok := container.GetJWTClaims().(*jwt.JWTClaims); ok {
			claims.Add(name, value)
			return
		}
	}
	if claims := keptClaims(session); claims != nil {
		claims[name] = value
		return
	}
	token.SetSession(&sessionWithClaims{session, map[string]any{name: value}})
}

// keptClaims is the map of extra claims that a session keeps; nil when it has none, or makes a new one at each call.
func keptClaims(session fosite.Session) map[string]any {
	extra, ok := session.(fosite.ExtraClaimsSession)
	if !ok {
		return nil
	}
	claims := extra.GetExtraClaims()
	if claims == nil || reflect.ValueOf(claims).Pointer() != reflect.ValueOf(extra.GetExtraClaims()).Pointer() {
		return nil
	}
	return claims
}

// sessionWithClaims carries members of an introspection answer that its session cannot keep. It is never stored.
type sessionWithClaims struct {
	fosite.Session
	claims map[string]any
}

// GetExtraClaims implements [fosite.ExtraClaimsSession].
func (s *sessionWithClaims) GetExtraClaims() map[string]any {
	if extra, ok := s.Session.(fosite.ExtraClaimsSession); ok {
		for name, value := range extra.GetExtraClaims() {
			if _, added := s.claims[name]; !added {
				s.claims[name] = value
			}
		}
	}
	return s.claims
}

// Clone implements [fosite.Session].
func (s *sessionWithClaims) Clone() fosite.Session {
	return &sessionWithClaims{s.Session.Clone(), maps.Clone(s.claims)}
}

// Unwrap is the session within.
func (s *sessionWithClaims) Unwrap() fosite.Session { return s.Session }

// SessionOf is the session of a request as the store returned it, for a look at its type: an introspection hook may have
// put it into one that carries claims.
func SessionOf(request fosite.Requester) fosite.Session {
	session := request.GetSession()
	if carrier, ok := session.(*sessionWithClaims); ok {
		return carrier.Session
	}
	return session
}
