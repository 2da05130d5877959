package login

import (
	"errors"
	"net/http"

	"github.com/ory/fosite"
)

// retryAfter is how many seconds a browser should wait after an outage.
const retryAfter = "5"

// notice is an error whose text is for people. The texts of other errors may tell what is none of theirs.
type notice string

func (n notice) Error() string { return string(n) }

// Mistakes that end on an error page.
const (
	errForeignForm = notice("The form was sent from another site, so it was ignored. Start again from the application that brought you here.")
	errBadForm     = notice("The form could not be read. Go back and try again.")
	errOutdated    = notice("This page was out of date: you have logged in or out since it was opened, or your browser does not accept cookies. Go back, reload the page and try again.")
	errNoPage      = notice("There is no such page.")
	errNoGrant     = notice("This application has no access in your name. It may have been withdrawn already.")
	errNoAttempt   = notice("This login has expired, or was begun in another browser. Start again from the application that brought you here.")
	errLongRequest = notice("The application has sent more than this login can carry. Its developers can shorten the state parameter.")
)

// errorTitles are what went wrong, in a few words.
var errorTitles = map[int]string{
	http.StatusBadRequest:          "That did not work",
	http.StatusUnauthorized:        "This application is not known here",
	http.StatusForbidden:           "That was not accepted",
	http.StatusNotFound:            "Nothing to see here",
	http.StatusServiceUnavailable:  "Please try again in a moment",
	http.StatusInternalServerError: "Something went wrong here",
}

// ErrorPage tells a person what went wrong, in the style of the other pages. Of a [fosite.RFC6749Error] it shows code and
// description, for the application's developers; of any other err nothing, and nil will do. Handlers use it where an
// error must not be sent to a client by redirect (RFC 6749 §4.1.2.1).
func (s *Server) ErrorPage(w http.ResponseWriter, r *http.Request, status int, err error) {
	page := &ErrorPage{Page: s.page(w, r, s.cookies.get(r, sessionCookie)), Status: status, Title: errorTitles[status]}
	var oauth *fosite.RFC6749Error
	var told notice
	switch {
	case errors.As(err, &oauth):
		page.Code = clean(oauth.ErrorField, nameLimit)
		page.Detail = clean(oauth.WithExposeDebug(false).GetDescription(), sentenceLimit)
		page.Message = "The application that brought you here has asked for something that cannot be done. Tell its developers what is written below."
	case errors.As(err, &told):
		page.Message = string(told)
	default:
		page.Message = "Start again from the application that brought you here."
	}
	if page.Title == "" {
		page.Title = errorTitles[http.StatusBadRequest]
		if status >= 500 {
			page.Title = errorTitles[http.StatusInternalServerError]
		}
	}
	switch {
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
		page.Message = "The server cannot answer at the moment. Try again in a few seconds."
	case status >= 500:
		page.Message = "The server made a mistake. Try again; if it stays like this, tell whoever runs it."
	}
	s.render(w, r, status, "error", page, "")
}

// fail answers an outage.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.Log.ErrorContext(r.Context(), "the store does not answer", "path", r.URL.Path, "cause", err)
	s.ErrorPage(w, r, http.StatusServiceUnavailable, nil)
}
