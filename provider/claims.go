package provider

import (
	"context"
	"errors"
	"maps"
	"reflect"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"
)

// AddClaim adds a member to what introspection answers about token, whatever its session. The session that a store has
// returned is not written to, unless it is a [Session]: a store may hand out one for several tokens. The member goes to a copy
// (Clone) that keeps it, in the claims of an [oauth2.JWTSessionContainer] or in the map of a [fosite.ExtraClaimsSession],
// and else beside the session. In that last case token.GetSession answers a session of another type after the introspection;
// [SessionOf] gives the one within.
func AddClaim(token fosite.AccessRequester, name string, value any) {
	switch session := token.GetSession().(type) {
	case *Session:
		session.GetExtraClaims()[name] = value
	case *sessionWithClaims:
		session.claims[name] = value
	default:
		clone := session.Clone()
		if claims := ownClaims(clone, session); claims != nil {
			claims[name] = value
			token.SetSession(clone)
			return
		}
		token.SetSession(&sessionWithClaims{session, map[string]any{name: value}})
	}
}

// ownClaims is the map of claims that a clone keeps, and does not share with the session that it is of; nil: there is none.
func ownClaims(clone, session fosite.Session) map[string]any {
	if reflect.TypeOf(clone) != reflect.TypeOf(session) { // a Clone that comes from what the session embeds
		return nil
	}
	if container, ok := clone.(oauth2.JWTSessionContainer); ok { // its GetExtraClaims returns a copy of these
		own, isOwn := container.GetJWTClaims().(*jwt.JWTClaims)
		theirs, _ := session.(oauth2.JWTSessionContainer).GetJWTClaims().(*jwt.JWTClaims)
		if !isOwn || own == theirs {
			return nil
		}
		if own.Extra == nil {
			own.Extra = make(map[string]any)
		}
		return own.Extra
	}
	claims := keptClaims(clone)
	if claims == nil || sameMap(claims, keptClaims(session)) {
		return nil
	}
	return claims
}

// keptClaims is the map of extra claims that a session keeps; nil when it has none, or makes a new one at each call.
func keptClaims(session fosite.Session) map[string]any {
	extra, ok := session.(fosite.ExtraClaimsSession)
	if !ok {
		return nil
	}
	claims := extra.GetExtraClaims()
	if claims == nil || !sameMap(claims, extra.GetExtraClaims()) {
		return nil
	}
	return claims
}

func sameMap(a, b map[string]any) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// sessionWithClaims carries members of an introspection answer that its session cannot keep.
type sessionWithClaims struct {
	fosite.Session
	claims map[string]any
}

// GetExtraClaims implements [fosite.ExtraClaimsSession].
func (s *sessionWithClaims) GetExtraClaims() map[string]any {
	all := make(map[string]any, len(s.claims))
	if extra, ok := s.Session.(fosite.ExtraClaimsSession); ok {
		maps.Copy(all, extra.GetExtraClaims())
	}
	maps.Copy(all, s.claims)
	return all
}

// Clone implements [fosite.Session].
func (s *sessionWithClaims) Clone() fosite.Session {
	return &sessionWithClaims{s.Session.Clone(), maps.Clone(s.claims)}
}

// MarshalJSON implements [json.Marshaler]: such a session is not stored, it would come back as another one.
func (s *sessionWithClaims) MarshalJSON() ([]byte, error) {
	return nil, errors.New("provider: AddClaim is for introspection hooks; set the fields of a session before it is stored")
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

// asStored calls hook with the session that the store has returned, whatever carries claims of earlier hooks: hooks look at its
// type.
func asStored(ctx context.Context, hook IntrospectionHook, token fosite.AccessRequester) error {
	carrier, carried := token.GetSession().(*sessionWithClaims)
	if !carried {
		return hook(ctx, token)
	}
	token.SetSession(carrier.Session)
	err := hook(ctx, token)
	if added, ok := token.GetSession().(*sessionWithClaims); ok {
		maps.Copy(carrier.claims, added.claims)
	} else {
		carrier.Session = token.GetSession()
	}
	token.SetSession(carrier)
	return err
}
