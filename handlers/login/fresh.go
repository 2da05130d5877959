package login

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockLeeway is how far the clocks of this server and of a provider may lie apart.
const clockLeeway = time.Minute

// wantsLogin tells that the client asks for a login (OpenID Connect Core §3.1.2.1). So does the choice of an account:
// whoever can log in as somebody else is offered to.
func wantsLogin(prompt []string) bool {
	return slices.Contains(prompt, "login") || slices.Contains(prompt, "select_account")
}

// prompt is the client's prompt in an authorization request.
func prompt(query url.Values) []string { return strings.Fields(query.Get("prompt")) }

// provenSince is the earliest time at which the person may have proven who they are for an authorization request that
// was made at now: prompt=login wants it to be done for this request, max_age allows so many seconds before. Zero: a
// proof of any age will do, and so will a login that proves no time. The authorize endpoint has refused what is malformed.
func provenSince(query url.Values, now time.Time) time.Time {
	if slices.Contains(prompt(query), "login") {
		return now
	}
	seconds, err := strconv.ParseUint(query.Get("max_age"), 10, 32)
	if err != nil {
		return time.Time{}
	}
	return now.Add(-time.Duration(seconds) * time.Second)
}

// provenSince tells whether the person has proven who they are at since or later. A time that is not known proves
// nothing.
func (p *person) provenSince(since time.Time) bool {
	return since.IsZero() || !p.AuthenticatedAt.IsZero() && !p.AuthenticatedAt.Before(since)
}

// headerProvesNoLogin is why an authenticating proxy is not offered for a fresh login: it says who is there, and not
// since when.
const headerProvesNoLogin = "The application asks you to log in again. The proxy in front of this server says who you are, but not that you have just logged in, so the login cannot go on this way. " +
	"Connect the application without asking for a fresh login, or ask whoever runs this server for another way to log in."

// unproven refuses a login that is not as fresh as the client wants it.
func (s *Pages) unproven(w http.ResponseWriter, r *http.Request, p *person, d destination) {
	s.Log.WarnContext(r.Context(), "refused a login that is not proven to be fresh, as prompt=login or max_age wants it",
		"method", p.Method, "proven_at", p.AuthenticatedAt, "remedy", remedies[p.Method])
	problem := headerProvesNoLogin
	if p.Method == byProvider {
		problem = s.oidc.provesNoLogin(p.AuthenticatedAt)
	}
	s.showLogin(w, r, http.StatusForbidden, url.Values{"continue": {d.String()}}, problem)
}

// provesNoLogin is what to tell a person whom the provider has let in without a proof of a fresh login.
func (u *upstream) provesNoLogin(authenticated time.Time) string {
	if !authenticated.IsZero() {
		return "The application asks for a fresh login, and " + u.name() + " has let you in with an older one. Log out there, then try again."
	}
	return "The application asks for a fresh login. " + u.name() + " has let you in without saying when you logged in there, so nothing proves that you just did. " +
		"Connect the application without asking for a fresh login, or ask whoever runs this server: " + u.name() + " must put auth_time into its ID tokens."
}

// remedies are for whoever runs the server.
var remedies = map[string]string{
	byProvider: "the OpenID Connect provider must honour prompt and max_age, and put auth_time (seconds, not in the future) into its ID tokens; with some it is an optional claim",
	byHeader:   "an authenticating proxy cannot prove a fresh login; offer login.oidc or local accounts as well",
}
