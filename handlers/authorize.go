package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// maxAuthorizeQuery bounds the URL that a POST is turned into; servers and proxies take no longer ones.
const maxAuthorizeQuery = 16 << 10

// authorizeEndpoint is the authorization endpoint (RFC 6749 §3.1).
func (s *Server) authorizeEndpoint() http.Handler {
	serve := Methods(map[string]http.HandlerFunc{http.MethodGet: s.authorize, http.MethodPost: s.authorizeByGet},
		func(w http.ResponseWriter, r *http.Request) {
			s.errorPage(w, r, refusal(http.StatusMethodNotAllowed, "Use GET or POST."))
		})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protectPage(w.Header())
		serve(w, r)
	})
}

// authorize takes an authorization request by GET. The provider checks the whole request before Login is
// asked who is there, and nothing is stored before Login has decided.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	request, err := s.Provider.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		s.refuse(w, r, request, err)
		return
	}
	if _, checked := request.(CheckedRequest); !checked {
		s.refuse(w, r, request, fosite.ErrServerError.WithDebugf("handlers: NewAuthorizeRequest of the Provider returned a %T, which nobody has checked; call that of a provider.AuthorizePolicy", request))
		return
	}
	reqinfo.Note(r.Context()).Client = request.GetClient().GetID()
	prompt, err := promptValues(request.GetRequestForm().Get("prompt"))
	if err != nil {
		s.refuse(w, r, request, err)
		return
	}
	maxAge, err := maxAgeValue(request.GetRequestForm().Get("max_age"))
	if err != nil {
		s.refuse(w, r, request, err)
		return
	}
	asked := AuthorizationRequest{
		Client:      request.GetClient(),
		RedirectURI: copyURL(request.GetRedirectURI()),
		Scopes:      slices.Clone(request.GetRequestedScopes()),
		Resources:   slices.Clone(request.GetRequestedAudience()),
		Prompt:      prompt,
		Offline:     request.GetClient().GetGrantTypes().Has("refresh_token"),
		MaxAge:      maxAge,
	}
	decision, err := s.Login.Authorize(w, r, asked)
	if err != nil {
		s.refuse(w, r, request, fosite.ErrTemporarilyUnavailable.WithWrap(err))
		return
	}
	if decision == nil {
		return // Login has answered
	}
	if decision.Err == nil && !decision.Denied && !asked.AcceptsLogin(decision.AuthenticatedAt, s.now()) {
		decision.Err = fosite.ErrLoginRequired.WithHint("Nothing proves a login that is as fresh as prompt=login or max_age asks for.")
	}
	reqinfo.Note(r.Context()).Subject = decision.Subject
	s.decide(w, r, request, decision)
}

// authorizeByGet turns a POST (RFC 6749 §3.1) into the same request by GET: a page of another site has sent it, so
// the browser has held back the cookies that tell who logged in, and will send them along with the GET.
func (s *Server) authorizeByGet(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(w, r); err != nil {
		s.errorPage(w, r, err)
		return
	}
	for _, name := range secretParameters {
		if r.PostForm.Has(name) {
			s.errorPage(w, r, fosite.ErrInvalidRequest.WithHintf("The parameter %q does not belong here.", name))
			return
		}
	}
	query := r.Form.Encode() // with those of the URL, so that one given in both places is noticed
	if len(query) > maxAuthorizeQuery {
		s.errorPage(w, r, refusal(http.StatusRequestEntityTooLarge, "The request is larger than 16 KiB."))
		return
	}
	// Relative to this very URL, whatever its path is outside of a proxy.
	w.Header().Set("Location", "?"+query)
	w.WriteHeader(http.StatusSeeOther)
}

// promptValues are OpenID Connect Core §3.1.2.1's values of prompt.
func promptValues(prompt string) ([]string, error) {
	var values []string
	for _, value := range strings.Fields(prompt) {
		switch value {
		case "none", "login", "consent", "select_account":
		default:
			return nil, fosite.ErrInvalidRequest.WithHint("The parameter prompt may hold none, login, consent and select_account.")
		}
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	if len(values) > 1 && slices.Contains(values, "none") {
		return nil, fosite.ErrInvalidRequest.WithHint("prompt=none goes with no other value.")
	}
	return values, nil
}

// maxAgeValue is OpenID Connect Core §3.1.2.1's max_age; nil: there is none.
func maxAgeValue(text string) (*time.Duration, error) {
	if text == "" {
		return nil, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, fosite.ErrInvalidRequest.WithHint("The parameter max_age is a number of seconds.")
	}
	age := time.Duration(seconds) * time.Second
	return &age, nil
}

// decide answers the client as the person has decided.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, request fosite.AuthorizeRequester, decision *Decision) {
	switch {
	case decision.Err != nil:
		s.refuse(w, r, request, decision.Err)
		return
	case decision.Denied, decision.Scopes != nil && len(decision.Scopes) == 0:
		s.answerError(w, r, request, fosite.ErrAccessDenied.WithHint("The person did not allow it."))
		return
	}
	session := s.NewSession()
	if err := grant(request, session, decision, s.now()); err != nil {
		s.refuse(w, r, request, fosite.ErrServerError.WithDebug(err.Error()))
		return
	}
	request.SetSession(session)
	if err := s.fillSession(r.Context(), request); err != nil {
		s.refuse(w, r, request, err)
		return
	}
	response, err := s.Provider.NewAuthorizeResponse(r.Context(), request, session)
	if err != nil {
		s.refuse(w, r, request, err)
		return
	}
	s.answerClient(w, request, response.GetParameters())
}

// grant writes a decision to the request and its session. A decision that goes beyond what was asked for is a
// mistake of Login's, and allows nothing.
func grant(request fosite.AuthorizeRequester, session fosite.Session, decision *Decision, now time.Time) error {
	if decision.Subject == "" {
		return errors.New("handlers: Login allowed a request without saying who did (Decision.Subject)")
	}
	person, ok := session.(PersonSession)
	if !ok {
		return fmt.Errorf("handlers: a session of type %T cannot say whose it is: give it the method SetPerson", session)
	}
	allowed := decision.Scopes
	if allowed == nil {
		allowed = request.GetRequestedScopes()
	}
	for _, scope := range allowed {
		if !slices.Contains(request.GetRequestedScopes(), scope) {
			return fmt.Errorf("handlers: Login allowed the scope %q, which was not asked for", scope)
		}
		request.GrantScope(scope)
	}
	for _, audience := range request.GetRequestedAudience() {
		request.GrantAudience(audience)
	}
	person.SetPerson(decision.Subject, decision.Username, decision.Groups, decision.AuthenticatedAt)
	if aging, ok := session.(GroupsTimeSession); ok {
		at := decision.GroupsAt
		if at.IsZero() {
			at = now
		}
		aging.SetGroupsAt(at)
	}
	if len(decision.Extra) > 0 {
		extra, ok := session.(ExtraClaimsSetter)
		if !ok {
			return fmt.Errorf("handlers: a session of type %T cannot keep Decision.Extra: give it the method SetExtraClaims", session)
		}
		extra.SetExtraClaims(decision.Extra)
	}
	return nil
}

func copyURL(u *url.URL) *url.URL {
	if u == nil {
		return nil
	}
	c := *u
	return &c
}
