package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// token is the token endpoint (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.PostForm.Get("grant_type") == "" {
		writeOAuthError(w, fosite.ErrInvalidRequest.WithHint(`The parameter "grant_type" is missing.`))
		return
	}
	facts := reqinfo.Note(ctx)
	if grant := r.PostForm.Get("grant_type"); slices.Contains(knownGrantTypes, grant) { // a caller can invent others
		facts.GrantType = grant
	}
	request, err := s.Provider.NewAccessRequest(ctx, r, s.NewSession())
	if request == nil && err != nil {
		// fosite returns no request exactly when no handler knows the grant type, and calls it invalid_request.
		err = fosite.ErrUnsupportedGrantType
	}
	if err == nil && !request.GetGrantTypes().HasOneOf("authorization_code", "refresh_token") { // whose session is stored
		err = s.newGrant(ctx, request)
	}
	var response fosite.AccessResponder
	if err == nil {
		response, err = s.Provider.NewAccessResponse(ctx, request)
	}
	var answer []byte
	if err == nil {
		answer, err = tokenAnswer(request, response, s.now())
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	facts.Client = request.GetClient().GetID() // the rule, of an assertion without a client
	facts.Subject, facts.Issued = request.GetSession().GetSubject(), strings.Join(request.GetGrantTypes(), " ")
	writeRawJSON(w, http.StatusOK, answer)
}

// newGrant completes the session of a grant that begins here, a machine's above all. fosite's own handlers leave it to their
// caller to grant what was asked for: a token without scope and audience is of no use, or opens all where nobody looks at them.
func (s *Server) newGrant(ctx context.Context, request fosite.AccessRequester) error {
	if len(request.GetGrantedScopes()) == 0 && len(request.GetGrantedAudience()) == 0 {
		return fosite.ErrMisconfiguration.WithDebug("the composition has granted neither scope nor audience; compose provider.ClientCredentialsFactory")
	}
	return s.fillSession(ctx, request)
}

// tokenResponse is RFC 6749 §5.1's response.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    any    `json:"expires_in,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	TokenType    string `json:"token_type"`
}

// tokenAnswer is what fosite has put together, with the token type as RFC 6750 spells it and the lifetime not shortened by the
// time spent so far. A host's grant may have added members of its own.
func tokenAnswer(request fosite.AccessRequester, response fosite.AccessResponder, now time.Time) ([]byte, error) {
	members := response.ToMap()
	answer := tokenResponse{AccessToken: response.GetAccessToken(), ExpiresIn: members["expires_in"], TokenType: "Bearer"}
	answer.RefreshToken, _ = members["refresh_token"].(string)
	answer.Scope, _ = members["scope"].(string)
	if end := request.GetSession().GetExpiresAt(fosite.AccessToken); !end.IsZero() {
		answer.ExpiresIn = int64((end.Sub(now) + time.Second - 1) / time.Second)
	}
	for _, name := range []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"} {
		delete(members, name)
	}
	encoded, err := json.Marshal(&answer)
	if err != nil {
		return nil, err
	}
	return addMembers(encoded, members)
}
