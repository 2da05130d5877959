package login

import (
	"cmp"
	"errors"
	"net/http"

	"fosite-mcp/handlers"

	"github.com/ory/fosite"
)

// notice is what to tell a person who has made, or met, a mistake.
type notice string

// Mistakes that end on an error page.
const (
	sayForeignForm notice = "The form was sent from another site, so it was ignored. Start again from the application that brought you here."
	sayBadForm     notice = "The form could not be read. Go back and try again."
	sayOutdated    notice = "This page was out of date: you have logged in or out since it was opened, or your browser does not accept cookies. Go back, reload the page and try again."
	sayNoPage      notice = "There is no such page."
	sayNoGrant     notice = "This application has no access in your name. It may have been withdrawn already."
	sayNoAttempt   notice = "This login has expired, or was begun in another browser. Start again from the application that brought you here."
	sayKeptOut     notice = "You may not log in here any more. If you think that this is a mistake, ask whoever runs this server."
	sayLongRequest notice = "The application has sent more than this login can carry. Its developers can shorten the state parameter."
)

// errorTitles are what went wrong, in a few words.
var errorTitles = map[int]string{
	http.StatusBadRequest:          "That did not work",
	http.StatusForbidden:           "That was not accepted",
	http.StatusNotFound:            "Nothing to see here",
	http.StatusTooManyRequests:     "Please wait a little",
	http.StatusServiceUnavailable:  "Please try again in a moment",
	http.StatusInternalServerError: "Something went wrong here",
}

// ErrorPage tells a person what went wrong, in the style of the other pages. Code and description of err are for the
// application's developers; nil: the status speaks for itself. It fits [handlers.Server.ErrorPage].
func (s *Pages) ErrorPage(w http.ResponseWriter, r *http.Request, status int, err *fosite.RFC6749Error) {
	page := &ErrorPage{Message: "Start again from the application that brought you here."}
	if err != nil {
		page.Code = clean(err.ErrorField, nameLimit)
		page.Detail = clean(err.WithExposeDebug(false).GetDescription(), sentenceLimit)
		page.Message = "The application that brought you here has asked for something that cannot be done. Tell its developers what is written below."
		if err.ErrorField == fosite.ErrInvalidClient.ErrorField {
			page.Title = "This application is not known here"
			page.Message = "It may have been removed since you connected it. Connect it again from the start."
		}
	}
	s.errorPage(w, r, status, page)
}

// tell is an error page with a text of our own.
func (s *Pages) tell(w http.ResponseWriter, r *http.Request, status int, message notice) {
	s.errorPage(w, r, status, &ErrorPage{Message: string(message)})
}

// fail answers an outage, and whom the store lets in no more.
func (s *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, fosite.ErrAccessDenied) {
		s.tell(w, r, http.StatusForbidden, sayKeptOut)
		return
	}
	s.Log.ErrorContext(r.Context(), "the store does not answer", "path", r.URL.EscapedPath(), "cause", err)
	s.errorPage(w, r, http.StatusServiceUnavailable, &ErrorPage{})
}

func (s *Pages) errorPage(w http.ResponseWriter, r *http.Request, status int, page *ErrorPage) {
	page.Page, page.Status = s.page(w, r, s.cookies.Get(r, sessionCookie)), status
	kind := http.StatusBadRequest
	if status >= 500 {
		kind = http.StatusInternalServerError
	}
	page.Title = cmp.Or(page.Title, errorTitles[status], errorTitles[kind])
	switch {
	case status == http.StatusTooManyRequests:
		page.Message = "Too many requests have come from your network. Wait " + w.Header().Get("Retry-After") + " seconds, then try again."
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", handlers.RetryAfter)
		page.Message = "The server cannot answer at the moment. Try again in a few seconds."
	case status >= 500:
		page.Message = "The server made a mistake. Try again; if it stays like this, tell whoever runs it."
	}
	s.render(w, r, status, "error", page)
}
