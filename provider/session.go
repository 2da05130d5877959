package provider

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"
)

var (
	_ fosite.Session            = (*Session)(nil)
	_ fosite.ExtraClaimsSession = (*Session)(nil)
)

// Session is what a token knows beyond its request: who logged in, and when its parts expire. A machine's session
// is almost empty, which keeps its row small.
type Session struct {
	Subject  string   `json:"sub,omitempty"` // empty for client_credentials: the client speaks for itself
	Username string   `json:"username,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// GroupsAt is when whoever logged the person in said that these are the groups; zero: at AuthenticatedAt, or at CameAt.
	GroupsAt time.Time `json:"groups_at,omitzero"`
	// Unix milliseconds of the expiries that every token has, which are read with every introspection; the others
	// (pushed authorization requests, ID tokens) in a map. Use SetExpiresAt and GetExpiresAt.
	AccessTokenExpiry   int64                      `json:"at,omitempty"`
	RefreshTokenExpiry  int64                      `json:"rt,omitempty"`
	AuthorizeCodeExpiry int64                      `json:"ac,omitempty"`
	OtherExpiries       map[fosite.TokenType]int64 `json:"exp,omitempty"`
	// GrantExpiresAt ends the whole grant, however often it is refreshed; zero: no such end.
	GrantExpiresAt  time.Time `json:"grant_exp,omitzero"`
	AuthenticatedAt time.Time `json:"proven_at,omitzero"` // when the person proved who they are; zero: not known
	// CameAt is when the person came, in what earlier versions have stored. It proves nothing, and is good for the age of
	// groups alone.
	CameAt time.Time `json:"auth_time,omitzero"`
	// Extra holds members of a host's own, such as a tenant; introspection answers them. Use SetExtraClaims.
	Extra map[string]any `json:"extra,omitempty"`

	groupsCurrent bool           // Groups were looked up just now; never stored
	claims        map[string]any // Extra, and what introspection hooks have added; never stored
}

// NewSession makes an empty session.
func NewSession() *Session { return &Session{} }

// SetExpiresAt implements [fosite.Session]. The zero time means that there is no expiry.
func (s *Session) SetExpiresAt(key fosite.TokenType, exp time.Time) {
	var ms int64
	if !exp.IsZero() {
		ms = exp.UnixMilli()
	}
	if field := s.expiry(key); field != nil {
		*field = ms
		return
	}
	if s.OtherExpiries == nil {
		s.OtherExpiries = make(map[fosite.TokenType]int64, 1)
	}
	s.OtherExpiries[key] = ms
}

// GetExpiresAt implements [fosite.Session].
func (s *Session) GetExpiresAt(key fosite.TokenType) time.Time {
	ms := s.OtherExpiries[key]
	if field := s.expiry(key); field != nil {
		ms = *field
	}
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// expiry is the field for key, or nil when it is one of the others.
func (s *Session) expiry(key fosite.TokenType) *int64 {
	switch key {
	case fosite.AccessToken:
		return &s.AccessTokenExpiry
	case fosite.RefreshToken:
		return &s.RefreshTokenExpiry
	case fosite.AuthorizeCode:
		return &s.AuthorizeCodeExpiry
	}
	return nil
}

// GetUsername implements [fosite.Session].
func (s *Session) GetUsername() string { return s.Username }

// GetSubject implements [fosite.Session].
func (s *Session) GetSubject() string { return s.Subject }

// GetGroups is who the person belongs to, for sites that restrict pages; machines have none.
func (s *Session) GetGroups() []string { return s.Groups }

// SetPerson says whose session it is, and when they proved that.
func (s *Session) SetPerson(subject, username string, groups []string, authenticatedAt time.Time) {
	s.Subject, s.Username, s.Groups = subject, username, slices.Clone(groups)
	s.AuthenticatedAt = authenticatedAt.UTC().Truncate(time.Second)
}

// SetGroupsAt says when the groups of the person were looked up.
func (s *Session) SetGroupsAt(at time.Time) { s.GroupsAt = at.UTC().Truncate(time.Millisecond) }

// SetCurrentGroups replaces the groups by those that the person has now. A store that knows the person's account calls it
// whenever it reads a session, so that these groups never grow old.
func (s *Session) SetCurrentGroups(groups []string) { s.Groups, s.groupsCurrent = groups, true }

// GroupsEnd is when groups that count for maxAge count no more; zero: never. Groups of an unknown age have ended.
func (s *Session) GroupsEnd(maxAge time.Duration) time.Time {
	if len(s.Groups) == 0 || s.groupsCurrent || maxAge == 0 {
		return time.Time{}
	}
	for _, at := range []time.Time{s.GroupsAt, s.AuthenticatedAt} {
		if !at.IsZero() {
			return at.Add(maxAge)
		}
	}
	return s.CameAt.Add(maxAge)
}

// DropGroups leaves the person without groups.
func (s *Session) DropGroups() { s.Groups = nil }

// GetAuthenticatedAt is when the person proved who they are; zero: not known.
func (s *Session) GetAuthenticatedAt() time.Time { return s.AuthenticatedAt }

// GetGrantExpiresAt is when the whole grant ends; zero: never.
func (s *Session) GetGrantExpiresAt() time.Time { return s.GrantExpiresAt }

// SetGrantExpiresAt ends the whole grant at a time.
func (s *Session) SetGrantExpiresAt(end time.Time) {
	s.GrantExpiresAt = end.UTC().Truncate(time.Millisecond)
}

// Clone implements [fosite.Session].
func (s *Session) Clone() fosite.Session {
	if s == nil {
		return nil
	}
	c := *s
	c.Groups = slices.Clone(s.Groups)
	c.OtherExpiries = maps.Clone(s.OtherExpiries)
	c.Extra = maps.Clone(s.Extra)
	c.claims = maps.Clone(s.claims)
	return &c
}

// GetExtraClaims implements [fosite.ExtraClaimsSession]: what introspection answers beyond the standard fields.
// An [IntrospectionHook] may write to the map.
func (s *Session) GetExtraClaims() map[string]any {
	if s.claims == nil {
		s.claims = make(map[string]any, len(s.Extra)+1)
		maps.Copy(s.claims, s.Extra)
	}
	return s.claims
}

// SetExtraClaims adds members of a host's own, which are stored with the token and which introspection answers. Their values
// must be such as JSON can hold. They cannot replace a standard member.
func (s *Session) SetExtraClaims(claims map[string]any) {
	if s.Extra == nil {
		s.Extra = make(map[string]any, len(claims))
	}
	maps.Copy(s.Extra, claims)
}

// groupsEnd is when the groups of a session count no more; zero: never.
func groupsEnd(session fosite.Session, maxAge time.Duration) time.Time {
	if aging, ok := session.(SessionWithGroupsEnd); ok {
		return aging.GroupsEnd(maxAge)
	}
	return time.Time{}
}

// groupsEnded tells that the groups of a session are too old.
func groupsEnded(session fosite.Session, maxAge time.Duration, now time.Time) bool {
	end := groupsEnd(session, maxAge)
	return !end.IsZero() && !now.Before(end)
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

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
