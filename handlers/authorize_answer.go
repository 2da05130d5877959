package handlers

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"
)

// protectPage sets what holds for every answer of the authorization endpoint: nobody keeps it, frames it (RFC 9700
// §4.16) or learns its URL from a Referer. Pages of Login may set a policy of their own.
func protectPage(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}

// refuse tells the client that its request failed; or the person, when there is no redirect URI that is known to be
// the client's (RFC 6749 §4.1.2.1), or nobody has checked where that leads.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, request fosite.AuthorizeRequester, err error) {
	unchecked, ok := request.(UncheckedRedirect)
	if request == nil || !request.IsRedirectURIValid() || ok && unchecked.RedirectIsUnchecked() {
		s.errorPage(w, r, s.explain(w, r, err))
		return
	}
	s.answerError(w, r, request, err)
}

// answerError tells the client.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, request fosite.AuthorizeRequester, err error) {
	known := s.explain(w, r, err)
	s.answerClient(w, request, url.Values{"error": {known.ErrorField}, "error_description": {description(known)}})
}

// answerClient redirects to the client. 303 makes the browser fetch by GET, whatever the request was (RFC 9700
// §4.12); iss tells which server answers (RFC 9207).
func (s *Server) answerClient(w http.ResponseWriter, request fosite.AuthorizeRequester, parameters url.Values) {
	parameters.Del("state")
	if state := request.GetState(); state != "" {
		parameters.Set("state", state)
	}
	if s.Issuer != "" {
		parameters.Set("iss", s.Issuer)
	}
	// Appended, so that what was registered stays byte by byte.
	target := request.GetRedirectURI().String()
	switch {
	case !strings.Contains(target, "?"):
		target += "?"
	case !strings.HasSuffix(target, "?") && !strings.HasSuffix(target, "&"):
		target += "&"
	}
	w.Header().Set("Location", target+parameters.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// errorPage shows an error to the person. Where the error has a hint, which is about this request, the page does without
// fosite's general sentence before it.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, err *fosite.RFC6749Error) {
	status := err.CodeField
	if err.HintField != "" {
		err = err.WithDescription(err.HintField).WithHint("")
	}
	switch status {
	case http.StatusUnauthorized:
		status = http.StatusBadRequest // there is nothing that the browser could authenticate with
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", RetryAfter)
	}
	if s.ErrorPage != nil {
		s.ErrorPage(w, r, status, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = plainErrorPage.Execute(w, oauthError{err.ErrorField, description(err)})
}

var plainErrorPage = template.Must(template.New("error").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>This login cannot go on</title>
</head>
<body>
<main>
<h1>This login cannot go on</h1>
<p>{{.Description}}</p>
<p>Go back to the application that sent you here and try again. If that does not help, tell its makers this error: <code>{{.Error}}</code></p>
</main>
</body>
</html>
`))
