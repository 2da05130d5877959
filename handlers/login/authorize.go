package login

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/provider/client"

	"github.com/ory/fosite"
)

// offlineScope stands for lasting access (a refresh token) where consent is remembered, as in OpenID Connect Core §11.
const offlineScope = "offline_access"

// Authorize implements [handlers.Login].
func (s *Pages) Authorize(w http.ResponseWriter, r *http.Request, request handlers.AuthorizationRequest) (*handlers.Decision, error) {
	here := s.here(r)
	p, err := s.currentOrByHeader(w, r)
	if errors.Is(err, fosite.ErrAccessDenied) {
		s.fail(w, r, err) // the person may not log in any more
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	q := question{
		silent:       slices.Contains(request.Prompt, "none"),
		wantsLogin:   wantsLogin(request.Prompt),
		wantsConsent: slices.Contains(request.Prompt, "consent"),
		unproven:     unproven(request.Client, request.RedirectURI) || selfRegistered(request.Client),
		showsPages:   showsPages(r),
	}
	if p != nil {
		allowed, err := s.Consents.Find(r.Context(), p.Subject, request.Client.GetID())
		if err != nil {
			return nil, err
		}
		q.loggedIn, q.covered = true, covers(allowed, request)
		if age := request.MaxAge; age != nil {
			q.stale = *age == 0 || !p.provenSince(s.Now().Add(-*age)) // 0 is prompt=login
		}
		q.stale = q.stale || s.groupsEnded(p)
		q.answers = s.answers(r, p, here).answers
		q.answers.LoggedIn = q.answers.LoggedIn && request.AcceptsLogin(p.AuthenticatedAt, s.Now())
	}
	switch q.next() {
	case askLogin:
		seeOther(w, r, s.loginURL(here))
		return nil, nil
	case endForm:
		s.endForm(w, r, p, here, q.answers)
		return nil, nil
	case askConsent:
		s.consentPage(w, r, p, request, here)
		return nil, nil
	case refuseLogin:
		return &handlers.Decision{Err: fosite.ErrLoginRequired}, nil
	case refuseConsent:
		return &handlers.Decision{Err: fosite.ErrConsentRequired}, nil
	case deny:
		s.cookies.Clear(w, stepCookie)
		return &handlers.Decision{Denied: true}, nil
	}
	if q.answers != (answers{}) {
		s.cookies.Clear(w, stepCookie)
	}
	return &handlers.Decision{ // no Scopes: all that were requested, which is what the person has allowed
		Subject: p.Subject, Username: p.Username, Groups: p.Groups, GroupsAt: p.GroupsAt, AuthenticatedAt: p.AuthenticatedAt,
	}, nil
}

// question is what is known about an authorization request and the person at the browser.
type question struct {
	silent, wantsLogin, wantsConsent bool // the client's prompt

	showsPages bool // the browser is one

	loggedIn bool
	stale    bool // the client wants a login that is not as old, or that is proven at all (max_age), or the groups are too old
	covered  bool // the person has allowed all of this before
	unproven bool // nobody can tell whether it is really this client
	answers  answers
}

// answers is what the person has done for this very request, a moment ago.
type answers struct {
	LoggedIn bool `json:"login,omitempty"`
	Allowed  bool `json:"allow,omitempty"`
	Denied   bool `json:"deny,omitempty"`
	// FormEnded: the form that the login came from has ended, see [Pages.endForm].
	FormEnded bool `json:"ended,omitempty"`
}

// action is what the authorize endpoint does next.
type action int

const (
	grant action = iota
	endForm
	askLogin
	askConsent
	refuseLogin
	refuseConsent
	deny
)

// next is what has to happen with the request now.
func (q question) next() action {
	mustAsk := q.wantsConsent || q.unproven
	switch {
	case !q.loggedIn && q.silent:
		return refuseLogin
	case !q.loggedIn:
		return askLogin
	case q.answers.Denied:
		return deny
	case q.stale && !q.answers.LoggedIn && q.silent:
		return refuseLogin
	case (q.wantsLogin || q.stale) && !q.answers.LoggedIn:
		return askLogin
	case q.covered && (!mustAsk || q.answers.Allowed):
		if q.showsPages && q.answers == (answers{LoggedIn: true}) {
			return endForm
		}
		return grant
	case q.silent:
		return refuseConsent
	}
	return askConsent
}

// selfRegistered tells that nobody has looked at the client, which may have changed its name and its redirect URIs since it was
// allowed.
func selfRegistered(client fosite.Client) bool {
	d, ok := client.(DynamicClient)
	return ok && d.IsDynamicallyRegistered()
}

// unproven tells that the client has no secret and is answered on the person's own device, where any program can take
// its place (RFC 8252 §8.6). An https redirect URI proves a client as far as its host is under its control.
func unproven(client fosite.Client, redirect *url.URL) bool {
	return client.IsPublic() && onDevice(redirect)
}

// onDevice tells that a redirect URI leads to a program on the person's own device: a loopback address or a custom
// scheme (RFC 8252 §7).
func onDevice(redirect *url.URL) bool {
	return redirect == nil || redirect.Scheme != "https" || client.IsLoopback(redirect.Hostname())
}

// asked is the scopes that a person is asked for, lasting access among them.
func asked(request handlers.AuthorizationRequest) []string {
	if request.Offline && !slices.Contains(request.Scopes, offlineScope) {
		return append(slices.Clone(request.Scopes), offlineScope)
	}
	return request.Scopes
}

// covers tells whether what was allowed holds every requested scope at every requested resource. Nothing requested is
// remembered as an empty name.
func covers(allowed map[string][]string, request handlers.AuthorizationRequest) bool {
	resources, scopes := request.Resources, asked(request)
	if len(resources) == 0 {
		resources = []string{""}
	}
	if len(scopes) == 0 {
		scopes = []string{""}
	}
	for _, resource := range resources {
		for _, scope := range scopes {
			if !slices.Contains(allowed[resource], scope) {
				return false
			}
		}
	}
	return true
}

// stepLife is how long an answer waits for the browser to come back with its request. It covers reading the consent
// page after a fresh login.
const stepLife = 15 * time.Minute

// stepState is the content of stepCookie: answers, bound to one session and one authorization request. It goes with
// the decision, so it counts once.
type stepState struct {
	Session string `json:"session"`
	Request string `json:"request"`
	Expires int64  `json:"exp"` // Unix seconds
	answers
}

// answers reads what p has answered for the request d; the zero value when nothing.
func (s *Pages) answers(r *http.Request, p *person, d destination) stepState {
	var state stepState
	if !s.sign.open("step", s.cookies.Get(r, stepCookie), &state) ||
		state.Session != p.id() || state.Request != d.digest() || s.Now().Unix() >= state.Expires {
		return stepState{}
	}
	return state
}

func (s *Pages) setAnswers(w http.ResponseWriter, p *person, d destination, given answers) {
	s.cookies.Set(w, stepCookie, s.sign.seal("step", stepState{
		Session: p.id(), Request: d.digest(), Expires: s.Now().Add(stepLife).Unix(), answers: given,
	}), stepLife)
}

// digest stands for an authorization request in a cookie, which has no room for a long one.
func (d destination) digest() string { return digest("request", d.String()) }
