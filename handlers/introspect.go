package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// IntrospectedFor is the key, in the context of Provider.IntrospectToken, of the resources ([]string) that the caller speaks
// for; there is none when a client asks about a token of its own. The hooks of package provider read it, and narrow what is
// answered to these resources.
const IntrospectedFor = fosite.ContextKey("introspected_for")

// introspect is the introspection endpoint (RFC 7662). The caller authenticates in any way a client may; a public
// client cannot.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	ctx, token := r.Context(), r.PostForm.Get("token")
	if s.ReadAhead != nil && len(token) <= maxToken {
		ctx = s.ReadAhead(ctx, token)
	}
	caller, err := s.authenticate(ctx, r, r.PostForm)
	if err == nil && caller.IsPublic() {
		err = fosite.ErrInvalidClient.WithHint("Only clients that authenticate may introspect.")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if token == "" {
		writeOAuthError(w, fosite.ErrInvalidRequest.WithHint(`The parameter "token" is missing.`))
		return
	}
	signed, ok := s.wantsSigned(r.Header.Values("Accept"))
	if !ok {
		writeOAuthError(w, refusal(http.StatusNotAcceptable, "This server does not sign introspection answers: accept application/json."))
		return
	}
	answer, err := s.inspect(ctx, token, caller)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if reqinfo.Note(ctx).Introspected = "active"; bytes.Equal(answer, inactive) {
		reqinfo.Note(ctx).Introspected = "inactive"
	}
	if signed {
		s.writeSigned(w, r, caller, answer)
		return
	}
	writeRawJSON(w, http.StatusOK, answer)
}

var inactive = []byte(`{"active":false}`)

// inspect answers what caller may know about token. An error is an outage.
func (s *Server) inspect(ctx context.Context, token string, caller fosite.Client) ([]byte, error) {
	request, err := s.active(ctx, token, caller)
	if err != nil {
		return nil, err
	}
	if request == nil {
		return inactive, nil
	}
	answer, err := s.describe(ctx, token, request)
	if err != nil {
		return nil, errors.Join(fosite.ErrServerError, err)
	}
	return answer, nil
}

// active is the request that token was issued to, as far as it concerns caller; nil for a token that is not active. An error is an
// outage: "inactive" is said only of a token that is.
func (s *Server) active(ctx context.Context, token string, caller fosite.Client) (fosite.AccessRequester, error) {
	if len(token) > maxToken {
		return nil, nil
	}
	var resources []string
	if server, ok := caller.(ResourceServerClient); ok {
		resources = server.GetIntrospects()
	}
	if len(resources) > 0 {
		ctx = context.WithValue(ctx, IntrospectedFor, resources)
	}
	use, request, err := s.Provider.IntrospectToken(ctx, token, fosite.AccessToken, s.NewSession())
	switch {
	case err != nil && isOutage(err):
		return nil, err
	case err != nil && fosite.ErrorToRFC6749Error(err).CodeField >= 500:
		return nil, err
	case err != nil, use != fosite.AccessToken:
		return nil, nil
	case !mayKnow(caller, resources, request):
		if len(resources) == 0 && s.unnamed.First(caller.GetID()) {
			remedy := "register it with introspects"
			if _, ok := caller.(ResourceServerClient); !ok { // a type of a host's
				remedy += ", and let its type have the method GetIntrospects"
			}
			s.log().WarnContext(ctx, "a client hears that another client's token is inactive, because it is no resource server; "+remedy, "client_id", caller.GetID())
		}
		return nil, nil
	}
	return request, nil
}

// mayKnow tells whether the token concerns the caller, who is the resource server of resources (RFC 8707). A resource server hears of tokens for its resources alone, those of
// its own client included: a token that it has sent to another resource could be replayed to it from there. Any other client
// hears of its own tokens.
func mayKnow(caller fosite.Client, resources []string, token fosite.AccessRequester) bool {
	if len(resources) == 0 {
		return caller.GetID() == token.GetClient().GetID()
	}
	return slices.ContainsFunc(resources, func(resource string) bool { return slices.Contains(token.GetGrantedAudience(), resource) })
}

// introspection is RFC 7662 §2.2's response to an active token.
type introspection struct {
	Active     bool     `json:"active"`
	Scope      string   `json:"scope,omitempty"`
	ClientID   string   `json:"client_id"`
	ClientName string   `json:"client_name,omitempty"`
	Username   string   `json:"username,omitempty"`
	TokenType  string   `json:"token_type"`
	Exp        int64    `json:"exp,omitempty"`
	Iat        int64    `json:"iat,omitempty"`
	Nbf        int64    `json:"nbf,omitempty"`
	Sub        string   `json:"sub"`
	Aud        []string `json:"aud,omitempty"`
	Iss        string   `json:"iss,omitempty"`
	Jti        string   `json:"jti,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	AuthTime   int64    `json:"auth_time,omitempty"` // RFC 9470 §6.2
}

// reserved are the members that no extra claim of a session may set.
var reserved = []string{"active", "scope", "client_id", "client_name", "username", "token_type", "exp", "iat", "nbf",
	"sub", "aud", "iss", "jti", "groups", "auth_time"}

func (s *Server) describe(ctx context.Context, token string, request fosite.AccessRequester) ([]byte, error) {
	session, client := request.GetSession(), request.GetClient()
	issued := request.GetRequestedAt().Unix()
	answer := introspection{
		Active: true, Scope: strings.Join(request.GetGrantedScopes(), " "), ClientID: client.GetID(),
		Username: session.GetUsername(), TokenType: "Bearer", Iat: issued, Nbf: issued,
		Sub: session.GetSubject(), Aud: request.GetGrantedAudience(), Iss: s.Issuer,
	}
	if named, ok := client.(NamedClient); ok {
		answer.ClientName = named.GetName()
	}
	if end := end(session, client); !end.IsZero() {
		answer.Exp = end.Unix()
	}
	if answer.Sub == "" {
		answer.Sub = client.GetID() // RFC 9068 §2.2: without a person the client is the subject
	}
	if s.TokenID != nil {
		answer.Jti = s.TokenID(ctx, token)
	}
	if member, ok := sessionAs[GroupsSession](session); ok {
		answer.Groups = member.GetGroups()
	}
	if person, ok := sessionAs[AuthenticatedSession](session); ok && !person.GetAuthenticatedAt().IsZero() {
		answer.AuthTime = person.GetAuthenticatedAt().Unix()
	}
	encoded, err := json.Marshal(&answer)
	if err != nil {
		return nil, err
	}
	if extra, ok := session.(fosite.ExtraClaimsSession); ok {
		return addClaims(encoded, extra.GetExtraClaims())
	}
	return encoded, nil
}

// end is when a token stops being active if nothing happens: with its client perhaps. Who keeps the answer hears of no other end.
func end(session fosite.Session, client fosite.Client) time.Time {
	end := session.GetExpiresAt(fosite.AccessToken)
	if expiring, ok := client.(ExpiringClient); ok {
		if last := expiring.GetExpiresAt(); !last.IsZero() && (end.IsZero() || last.Before(end)) {
			return last
		}
	}
	return end
}

// sessionAs is a session as a T, or what it carries: a hook may have put it into one that carries claims.
func sessionAs[T any](session fosite.Session) (found T, ok bool) {
	if found, ok = session.(T); ok {
		return found, true
	}
	if carrier, wraps := session.(interface{ Unwrap() fosite.Session }); wraps {
		found, ok = carrier.Unwrap().(T)
	}
	return found, ok
}

// addClaims adds the claims of a session to an answer. It writes to the answer.
func addClaims(answer []byte, claims map[string]any) ([]byte, error) {
	for name := range claims {
		if isReserved(name) {
			claims = maps.Clone(claims)
			maps.DeleteFunc(claims, func(name string, _ any) bool { return isReserved(name) })
			break
		}
	}
	return addMembers(answer, claims)
}

// isReserved tells a member that no claim may come close to: JSON readers differ in whether they tell Scope from scope.
func isReserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}
