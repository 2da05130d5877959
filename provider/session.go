package provider

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
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
	// SubjectIssuer is who has named the subject: the iss of the assertion that was exchanged for the token; empty: this server.
	SubjectIssuer string `json:"sub_iss,omitempty"`
	// RuleID is the rule by which a client got the token for an assertion; empty: there is none, or it is the client itself.
	RuleID string `json:"rule,omitempty"`
	// Extra holds members of a host's own, such as a tenant; introspection answers them. Use SetExtraClaims.
	Extra ExtraClaims `json:"extra,omitempty"`

	groupsCurrent bool  // Groups were looked up just now; never stored
	ruleVersion   int64 // of the rule, when the assertion was checked; never stored
	ruleEpoch     int64
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

// SetAsserted says whose assertion was exchanged for the token.
func (s *Session) SetAsserted(issuer, subject string) { s.SubjectIssuer, s.Subject = issuer, subject }

// SetRule says by which rule a client gets the token, and in which state the rule was when the assertion was checked.
func (s *Session) SetRule(id string, version, epoch int64) {
	s.RuleID, s.ruleVersion, s.ruleEpoch = id, version, epoch
}

// GetRule is what [Session.SetRule] was told; id is empty where there is no rule. Of a session that was stored the id alone is
// known.
func (s *Session) GetRule() (id string, version, epoch int64) {
	return s.RuleID, s.ruleVersion, s.ruleEpoch
}

// GetSubjectIssuer is who has named the subject; empty: this server.
func (s *Session) GetSubjectIssuer() string { return s.SubjectIssuer }

// IsAsserted tells that another issuer has named the subject, so that no local account is meant by it.
func (s *Session) IsAsserted() bool { return s.SubjectIssuer != "" }

// SubjectID is the subject together with the issuer that has named it (RFC 9493 §3.2.4); nil: this server has.
func (s *Session) SubjectID() map[string]string {
	if s.SubjectIssuer == "" {
		return nil
	}
	return map[string]string{"format": "iss_sub", "iss": s.SubjectIssuer, "sub": s.Subject}
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
		if s.IsAsserted() {
			s.claims["sub_id"] = s.SubjectID()
		}
	}
	return s.claims
}

// SetExtraClaims adds members of a host's own, which are stored with the token and which introspection answers. Their values
// must be such as JSON can hold. Members that have a meaning of their own in an answer (RFC 7662 §2.2, and mcp) are left out,
// in any case of letters.
func (s *Session) SetExtraClaims(claims map[string]any) {
	if s.Extra == nil {
		s.Extra = make(ExtraClaims, len(claims))
	}
	for name, value := range claims {
		if !slices.ContainsFunc(reservedClaims, func(r string) bool { return strings.EqualFold(r, name) }) {
			s.Extra[name] = value
		}
	}
}

var reservedClaims = []string{"active", "scope", "client_id", "client_name", "username", "token_type", "exp", "iat", "nbf",
	"sub", "aud", "iss", "jti", "groups", "auth_time", "mcp", "sub_id"}

// ExtraClaims are members of a host's own. Read back from JSON, a number is a [json.Number]: as a float64 a large one would
// become another.
type ExtraClaims map[string]any

// UnmarshalJSON implements [json.Unmarshaler].
func (e *ExtraClaims) UnmarshalJSON(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode((*map[string]any)(e))
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
