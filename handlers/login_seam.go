package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"
)

// Login finds out who sits at the browser and what they allow. One method, so that a team can put in its own.
type Login interface {
	// Authorize is called with an authorization request that is valid in every respect. It returns a decision; or it has
	// answered the browser itself (a login page, a consent page, a redirect to another identity provider) and returns
	// nil, nil. The browser then comes back to the same URL: Authorize may be called many times for one request. An
	// error is an outage: the client is told temporarily_unavailable.
	Authorize(w http.ResponseWriter, r *http.Request, request AuthorizationRequest) (*Decision, error)
}

// AuthorizationRequest is what a person is asked to allow.
type AuthorizationRequest struct {
	Client      fosite.Client // GetID; optional GetName() string
	RedirectURI *url.URL
	Scopes      []string // requested and registered
	Resources   []string // resolved RFC 8707 identifiers
	Prompt      []string // OpenID Connect's prompt values, already validated: none, login, consent, select_account
	Offline     bool     // a refresh token will be issued
	// MaxAge, when set, is how long ago the person may have proven who they are. Who did so before, or at a time that is
	// not known, has to log in again; with prompt none that is login_required.
	MaxAge *time.Duration
}

// loginTime is how long a person may take from the proof to the decision: at an upstream provider, on the consent page,
// and on the way back.
const loginTime = 45 * time.Minute

// AcceptsLogin tells whether a person who has proven who they are at a time (zero: not known) may get a code now, by
// prompt=login and MaxAge. Login knows when it was asked, and is stricter: this is the last check behind it.
func (r AuthorizationRequest) AcceptsLogin(at, now time.Time) bool {
	age := loginTime
	switch {
	case slices.Contains(r.Prompt, "login"):
	case r.MaxAge != nil:
		age += *r.MaxAge
	default:
		return true
	}
	return !at.IsZero() && !at.Before(now.Add(-age))
}

// Decision is the person's answer.
type Decision struct {
	Denied   bool
	Subject  string // required unless Denied
	Username string
	Groups   []string
	GroupsAt time.Time // when Groups were looked up; zero: now
	Scopes   []string  // allowed: a subset of the requested ones; nil: all of them
	// Extra goes into the session's extra claims: it is stored with the tokens, and introspection answers its members. It
	// needs an [ExtraClaimsSetter].
	Extra map[string]any
	// AuthenticatedAt is when the person has proven who they are; zero: not known. [AuthorizationRequest.AcceptsLogin] tells
	// what a request allows.
	AuthenticatedAt time.Time
	// Err, when set, is the OAuth error to redirect with: login_required, consent_required or interaction_required
	// for prompt=none.
	Err *fosite.RFC6749Error
}
