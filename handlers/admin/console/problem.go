package console

import (
	"errors"
	"net/http"
	"strings"

	"fosite-mcp/handlers"
)

// problem is why a page is not what was asked for: mostly a problem of the API (RFC 9457).
type problem struct {
	Status int       `json:"status"`
	Title  string    `json:"title"`
	Detail string    `json:"detail"`
	Errors []mistake `json:"errors"`

	header http.Header
}

// mistake is one thing that is wrong with a request.
type mistake struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// tell copies what the API says about when to try again.
func (p *problem) tell(header http.Header) {
	for name, values := range p.header {
		if name == "Retry-After" || strings.HasPrefix(name, "Ratelimit") || name == "Www-Authenticate" {
			header[name] = values
		}
	}
}

// challenge is the way to authenticate (RFC 9110 §15.5.2): browsers know no such scheme, and show the page.
const challenge = `Bearer realm="fosite-mcp admin"`

// fail is the one place that turns errors into pages. A failure of the server is never "not found" or "logged out".
func (v *visit) fail(err error) {
	var p *problem
	switch {
	case errors.Is(err, errLoggedOut):
		err = v.showLoggedOut("Log in to see this page.", "Log in first. Nothing was changed.")
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized && v.session != nil: // the key has ended meanwhile
		v.session = nil
		err = v.showLoggedOut("Your admin key has ended. Log in with another one.", "Your admin key has ended. Nothing was changed.")
	case errors.As(err, &p):
		err = v.showProblem(p)
	default:
		v.log.ErrorContext(v.r.Context(), "the console cannot answer", "request_id", handlers.RequestID(v.r),
			"path", v.r.URL.EscapedPath(), "cause", err.Error())
		err = v.showProblem(&problem{Status: http.StatusServiceUnavailable, Title: "Not available now",
			Detail: "The server cannot reach its database, or it is too busy. Nothing is known to have changed; try again in a moment."})
	}
	if err != nil {
		v.log.ErrorContext(v.r.Context(), "the console cannot show a page", "request_id", handlers.RequestID(v.r), "cause", err.Error())
		http.Error(v.w, "The page cannot be shown.", http.StatusInternalServerError)
	}
}

// showLoggedOut shows the page for logging in. After a form, it does not lead back: the form is not sent again.
func (v *visit) showLoggedOut(page, form string) error {
	data := loginData{Continue: v.r.URL.RequestURI(), Says: page}
	if v.r.Method == http.MethodPost {
		data.Continue, data.Says = "", form
	}
	v.w.Header().Set("WWW-Authenticate", challenge)
	return v.showLogin(http.StatusUnauthorized, data)
}

func (v *visit) showProblem(p *problem) error {
	p.tell(v.w.Header())
	if p.Status == http.StatusServiceUnavailable && v.w.Header().Get("Retry-After") == "" {
		v.w.Header().Set("Retry-After", handlers.RetryAfter)
	}
	return v.render(p.Status, "problem", v.page(p.Title, "", struct {
		*problem
		RequestID string
	}{p, handlers.RequestID(v.r)}))
}
