package login

import (
	"mime"
	"net/http"

	"fosite-mcp/internal/browser"
)

// maxForm bounds what a form may hold: an authorization request and a password.
const maxForm = 64 << 10

// form is an endpoint that takes a POST from one of our own pages: it must come from this origin, and carry the token
// that was given to this browser with the page. One without is passed to outdated.
func (s *Pages) form(handle, outdated http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.origins.Check(r); err != nil {
			s.Log.WarnContext(r.Context(), "refused a form from another site", "path", r.URL.EscapedPath(), "origin", r.Header.Get("Origin"))
			s.tell(w, r, http.StatusForbidden, sayForeignForm)
			return
		}
		mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || mediaType != "application/x-www-form-urlencoded" {
			s.tell(w, r, http.StatusUnsupportedMediaType, sayBadForm)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			s.tell(w, r, http.StatusBadRequest, sayBadForm)
			return
		}
		for _, values := range r.PostForm {
			if len(values) > 1 {
				s.tell(w, r, http.StatusBadRequest, sayBadForm)
				return
			}
		}
		given := s.cookies.Get(r, browserCookie)
		if given == "" || !s.sign.valid(r.PostForm.Get("csrf"), "form", given, s.cookies.Get(r, sessionCookie)) {
			outdated(w, r)
			return
		}
		handle(w, r)
	}
}

// formToken is what form wants to see again. token is the browser's session cookie as it will be after this response.
func (s *Pages) formToken(w http.ResponseWriter, r *http.Request, token string) string {
	given := s.cookies.Get(r, browserCookie)
	if given == "" {
		given = browser.NewToken()
		s.cookies.Set(w, browserCookie, given, 0)
	}
	return s.sign.mac("form", given, token)
}

func (s *Pages) outdated(w http.ResponseWriter, r *http.Request) {
	s.tell(w, r, http.StatusForbidden, sayOutdated)
}
