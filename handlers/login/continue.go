package login

import (
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/internal/params"
)

// maxContinue bounds an authorization request that is carried through the login. The authorize endpoint takes no
// longer ones.
const maxContinue = 17 << 10

// destination is where a person goes on after logging in: the authorize endpoint with its request, or the page of
// connected applications. There is no other, so that no link can lead people through our login to a strange place.
type destination struct {
	path  string
	query url.Values // as the authorize endpoint reads it; nil: not an authorization request
}

func (s *Pages) authorizePath() string { return s.BasePath + "/authorize" }
func (s *Pages) grantsPath() string    { return s.BasePath + "/grants" }

// destination reads a continue parameter. Anything but our own two paths is the page of connected applications.
func (s *Pages) destination(text string) destination {
	query, isAuthorize := strings.CutPrefix(text, s.authorizePath()+"?")
	if !isAuthorize || len(text) > maxContinue {
		return destination{path: s.grantsPath()}
	}
	values, err := url.ParseQuery(query)
	if params.DropEmpty(values); err != nil || len(values) == 0 {
		return destination{path: s.grantsPath()}
	}
	return destination{s.authorizePath(), values}
}

// here is the authorization request of r as a destination.
func (s *Pages) here(r *http.Request) destination {
	_ = r.ParseForm() // the authorize endpoint has parsed it, and refused what it could not
	return destination{s.authorizePath(), params.WithoutEmpty(r.Form)}
}

// String is a path of ours with a query that we have encoded ourselves: it is safe in a Location header.
func (d destination) String() string {
	if d.query == nil {
		return d.path
	}
	return d.path + "?" + d.query.Encode()
}

// loginURL leads to the login page and from there to d.
func (s *Pages) loginURL(d destination) string {
	return s.BasePath + "/login?" + url.Values{"continue": {d.String()}}.Encode()
}

// endForm shows a page that goes on to the authorization request here by itself. Browsers hold every redirect that
// follows a form against the form-action of its page (CSP Level 3 §6.4.2): the redirect to the client, and those of its
// hosted callback, which nobody knows beforehand. Here the form of the login page ends, which may lead to this server
// alone, or that of the provider.
func (s *Pages) endForm(w http.ResponseWriter, r *http.Request, p *person, here destination, given answers) {
	given.FormEnded = true
	s.setAnswers(w, p, here, given)
	w.Header().Set("Refresh", "0; url="+here.String())
	s.render(w, r, http.StatusOK, "continue", &ContinuePage{Page: s.page(w, r, p.token), Continue: here.String()})
}

// showsPages tells a browser from a program that fills in forms: it asks for HTML. A program follows redirects, and
// knows no form-action.
func showsPages(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func seeOther(w http.ResponseWriter, r *http.Request, location string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "same-origin")
	http.Redirect(w, r, location, http.StatusSeeOther)
}
