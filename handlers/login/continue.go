package login

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// maxContinue bounds an authorization request that is carried through the login. The authorize endpoint takes no
// longer ones.
const maxContinue = 17 << 10

// destination is where a person goes on after logging in: the authorize endpoint with its request, or the page of
// connected applications. There is no other, so that no link can lead people through our login to a strange place.
type destination struct {
	path  string
	query url.Values // nil: not an authorization request
}

func (s *Server) authorizePath() string { return s.BasePath + "/authorize" }
func (s *Server) grantsPath() string    { return s.BasePath + "/grants" }

// destination reads a continue parameter. Anything but our own two paths is the page of connected applications.
func (s *Server) destination(text string) destination {
	query, isAuthorize := strings.CutPrefix(text, s.authorizePath()+"?")
	if !isAuthorize || len(text) > maxContinue {
		return destination{path: s.grantsPath()}
	}
	values, err := url.ParseQuery(query)
	if err != nil || len(values) == 0 {
		return destination{path: s.grantsPath()}
	}
	return destination{s.authorizePath(), values}
}

// here is the authorization request of r as a destination.
func (s *Server) here(r *http.Request) destination {
	_ = r.ParseForm() // the authorize endpoint has parsed it, and refused what it could not
	return destination{s.authorizePath(), r.Form}
}

// String is a path of ours with a query that we have encoded ourselves: it is safe in a Location header.
func (d destination) String() string {
	if d.query == nil {
		return d.path
	}
	return d.path + "?" + d.query.Encode()
}

// loginURL leads to the login page and from there to d. source is where d may lead in the end.
func (s *Server) loginURL(d destination, source string) string {
	query := url.Values{"continue": {d.String()}}
	if target := s.signTarget(d, source); target != "" {
		query.Set("target", target)
	}
	return s.BasePath + "/login?" + query.Encode()
}

// signTarget carries a CSP source from the authorize endpoint, which has checked it, through pages that have not.
func (s *Server) signTarget(d destination, source string) string {
	if source == "" {
		return ""
	}
	return source + " " + s.sign.mac("target", source, d.String())
}

// target is the CSP source that signTarget has put in, or nothing.
func (s *Server) target(text string, d destination) (source string) {
	source, mac, _ := strings.Cut(text, " ")
	if !s.sign.valid(mac, "target", source, d.String()) {
		return ""
	}
	return source
}

var (
	plainHost   = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)
	plainScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
)

// formSource is a CSP source for the client's redirect URI. Browsers apply form-action to the redirects that follow a
// form as well, so a page whose form may end at the client must name it (CSP Level 3 §6.4.2). Hosts that CSP cannot
// express, IPv6 addresses for one, are named by their scheme.
func formSource(redirect *url.URL) string {
	switch {
	case redirect == nil || !plainScheme.MatchString(redirect.Scheme):
		return ""
	case redirect.Scheme != "https" && redirect.Scheme != "http", !plainHost.MatchString(redirect.Host):
		return redirect.Scheme + ":"
	case redirect.Scheme == "http" && redirect.Hostname() != "localhost" && redirect.Hostname() != "127.0.0.1":
		return "http:"
	}
	return redirect.Scheme + "://" + redirect.Host
}

func seeOther(w http.ResponseWriter, r *http.Request, location string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "same-origin")
	http.Redirect(w, r, location, http.StatusSeeOther)
}
