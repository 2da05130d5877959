package login

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fosite-mcp/handlers"
)

// maxAttemptCookie is what browsers keep of a cookie, less its name and attributes.
const maxAttemptCookie = 3800

// startOIDC sends the browser to the provider. It is a link and not a form, because form-action would have to name
// every host that the provider may pass the browser on to.
func (s *Pages) startOIDC(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.tell(w, r, http.StatusNotFound, sayNoPage)
		return
	}
	d := s.destination(r.URL.Query().Get("continue"))
	a, address, err := s.oidc.begin(r.Context(), d.String(), d.query)
	if err != nil {
		s.upstreamDown(w, r, d, err)
		return
	}
	sealed := s.sign.seal("attempt", a)
	if len(sealed) > maxAttemptCookie {
		s.tell(w, r, http.StatusRequestURITooLong, sayLongRequest)
		return
	}
	s.forgetAttempts(w, r)
	s.cookies.Set(w, attemptCookie(a.State), sealed, attemptLife)
	seeOther(w, r, address)
}

// attemptCookie is a name of its own for each login, so that two tabs do not get in each other's way.
func attemptCookie(state string) string { return oidcCookie + state[:8] }

// maxAttempts is how many logins at the provider one browser may have under way.
const maxAttempts = 4

// forgetAttempts makes room: too many cookies, and servers refuse the browser's every request.
func (s *Pages) forgetAttempts(w http.ResponseWriter, r *http.Request) {
	var names []string
	for _, cookie := range r.Cookies() {
		if name := strings.TrimPrefix(cookie.Name, s.cookies.Name("")); strings.HasPrefix(name, oidcCookie) {
			names = append(names, name)
		}
	}
	if len(names) >= maxAttempts {
		for _, name := range names {
			s.cookies.Clear(w, name)
		}
	}
}

// finishOIDC is where the provider sends the browser back to.
func (s *Pages) finishOIDC(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	a, ok := s.attempt(r, query.Get("state"))
	if !ok {
		s.tell(w, r, http.StatusBadRequest, sayNoAttempt)
		return
	}
	s.cookies.Clear(w, attemptCookie(a.State))
	d := s.destination(a.Continue)
	p, err := s.oidc.answer(r.Context(), query, a)
	var refusal *denied
	switch {
	case errors.As(err, &refusal):
		s.Log.InfoContext(r.Context(), "the OpenID Connect provider refused a login", "error", refusal.code)
		s.tellFailed(r, byProvider, "")
		s.showLogin(w, r, http.StatusForbidden, url.Values{"continue": {d.String()}}, s.oidc.name()+" did not log you in ("+refusal.code+").")
	case errors.Is(err, ErrProviderRefused):
		s.providerRefused(w, r, d, err)
	case err != nil:
		s.upstreamDown(w, r, d, err)
	default:
		since := provenSince(d.query, a.Began)
		if !since.IsZero() {
			since = since.Add(-clockLeeway) // what the provider says goes by its own clock
		}
		s.enter(w, r, p, d, since)
	}
}

// attempt is the login that this browser began with this state. A state of another browser is worth nothing: that is
// what keeps strangers from logging people in as somebody else (RFC 6749 §10.12).
func (s *Pages) attempt(r *http.Request, state string) (a attempt, ok bool) {
	if s.oidc == nil || len(state) < 26 || len(state) > 64 || strings.ContainsFunc(state, notBase32) {
		return a, false
	}
	return s.sign.attempt(s.cookies.Get(r, attemptCookie(state)), state, s.Now())
}

// attempt opens what the browser has kept of a login with this state.
func (s signer) attempt(sealed, state string, now time.Time) (a attempt, ok bool) {
	if !s.open("attempt", sealed, &a) {
		return a, false
	}
	same := subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) == 1
	return a, same && now.Sub(a.Began) < attemptLife
}

func notBase32(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }

func (s *Pages) upstreamDown(w http.ResponseWriter, r *http.Request, d destination, err error) {
	s.Log.ErrorContext(r.Context(), "the OpenID Connect provider does not answer", "issuer", s.oidc.Issuer, "cause", err)
	w.Header().Set("Retry-After", handlers.RetryAfter)
	s.showLogin(w, r, http.StatusServiceUnavailable, url.Values{"continue": {d.String()}}, s.oidc.name()+" does not answer at the moment. Try again in a few seconds.")
}

func (s *Pages) providerRefused(w http.ResponseWriter, r *http.Request, d destination, err error) {
	s.Log.WarnContext(r.Context(), "refused a login through the OpenID Connect provider", "issuer", s.oidc.Issuer, "cause", err)
	s.tellFailed(r, byProvider, "")
	s.showLogin(w, r, http.StatusForbidden, url.Values{"continue": {d.String()}}, "The answer of "+s.oidc.name()+" could not be verified. Try again.")
}
