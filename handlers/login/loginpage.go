package login

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/handlers"
	"fosite-mcp/handlers/clientaddr"

	"github.com/ory/fosite"
)

// loginPage offers the ways to log in.
func (s *Pages) loginPage(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("continue") == "" {
		if p, err := s.current(r); err != nil || p != nil {
			if err != nil {
				s.fail(w, r, err)
				return
			}
			seeOther(w, r, s.grantsPath())
			return
		}
	}
	s.showLogin(w, r, http.StatusOK, query, "")
}

// loginOutdated takes a login form that has lost its browser. The second click of a double click comes here, when the
// first has logged the person in: it goes the same way. Everybody else gets a new form, and so does who wants to log in
// as somebody else.
func (s *Pages) loginOutdated(w http.ResponseWriter, r *http.Request) {
	p, err := s.current(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if p != nil && asks(r, p) {
		seeOther(w, r, s.destination(r.PostForm.Get("continue")).String())
		return
	}
	s.showLogin(w, r, http.StatusForbidden, r.PostForm, "This page was out of date, or your browser does not accept cookies. Try again.")
}

// asks tells whether the login form in r is for p.
func asks(r *http.Request, p *person) bool {
	if r.PostForm.Get("method") == byHeader {
		return p.Method == byHeader
	}
	return p.Method == byPassword && p.Username == enteredUsername(r)
}

func enteredUsername(r *http.Request) string {
	return strings.ToLower(strings.TrimSpace(r.PostForm.Get("username")))
}

// showLogin shows the login page with what went wrong, if anything. values holds continue and username.
func (s *Pages) showLogin(w http.ResponseWriter, r *http.Request, status int, values url.Values, problem string) {
	d := s.destination(values.Get("continue"))
	page := &LoginPage{
		Page:     s.page(w, r, s.cookies.Get(r, sessionCookie)),
		Continue: d.String(),
		Problem:  problem,
		Again:    wantsLogin(prompt(d.query)),
		Local:    s.Local != nil,
	}
	if s.Local != nil {
		page.EnteredUsername = clean(values.Get("username"), nameLimit)
	}
	named := s.headerPerson(r)
	fresh := !provenSince(d.query, s.Now()).IsZero()
	switch {
	case named != nil && !fresh:
		page.Header = clean(named.Username, nameLimit)
	case named != nil && s.Local == nil && s.oidc == nil:
		page.Problem = cmp.Or(problem, headerProvesNoLogin)
	}
	if s.oidc != nil {
		page.OIDC = s.BasePath + "/login/oidc?" + url.Values{"continue": {d.String()}}.Encode()
		page.OIDCName = s.oidc.name()
	}
	page.HeaderOnly = s.Header != nil && s.Local == nil && s.OIDC == nil && named == nil
	s.render(w, r, status, "login", page)
}

// login takes the login page's form: a password, or the proxy's word.
func (s *Pages) login(w http.ResponseWriter, r *http.Request) {
	d := s.destination(r.PostForm.Get("continue"))
	since := provenSince(d.query, s.Now())
	if r.PostForm.Get("method") == byHeader {
		p := s.headerPerson(r)
		if p == nil {
			s.tellFailed(r, byHeader, "")
			s.showLogin(w, r, http.StatusForbidden, r.PostForm, "The proxy in front of this page did not say who you are.")
			return
		}
		s.enter(w, r, p, d, since)
		return
	}
	if s.Local == nil {
		s.tell(w, r, http.StatusBadRequest, sayBadForm)
		return
	}
	username, password := enteredUsername(r), r.PostForm.Get("password")
	if username == "" || password == "" {
		s.showLogin(w, r, http.StatusBadRequest, r.PostForm, "Enter your user name and your password.")
		return
	}
	attempt, wait := s.countAttempt(r, username)
	if wait > 0 {
		s.failed(w, r) // attempts that come too early count as well
		s.showWait(w, r, "Too many attempts.", wait)
		return
	}
	p, err := s.checkPassword(r.Context(), attempt.queue, username, password)
	if err != nil {
		s.refuseAttempt(w, r, attempt, err)
		return
	}
	s.succeeded(attempt)
	s.remember(w, r, username)
	s.enter(w, r, p, d, since)
}

// refuseAttempt answers an attempt with a wrong password. One whose password was not compared is uncounted.
func (s *Pages) refuseAttempt(w http.ResponseWriter, r *http.Request, a passwordAttempt, err error) {
	from := slog.Group("", "ip", clientaddr.String(s.ClientAddr(r)), "peer", r.RemoteAddr)
	var wrong *wrongLogin
	switch {
	case errors.As(err, &wrong):
		s.Log.WarnContext(r.Context(), "login failed", from)
		s.tellFailed(r, byPassword, wrong.username)
		if wait := max(s.failed(w, r), a.next); wait > 0 {
			s.showWait(w, r, wrongPassword+" Many logins from your network, or in this name, have failed.", wait)
			return
		}
		s.showLogin(w, r, http.StatusForbidden, r.PostForm, wrongPassword)
	case errors.Is(err, errBusy):
		s.takeBack(a)
		handlers.TellBusy(w)
		if s.busy.AllowN(s.Now(), 1) {
			s.Log.WarnContext(r.Context(), "too many logins at once", from)
		}
		w.Header().Set("Retry-After", handlers.RetryAfter)
		s.showLogin(w, r, http.StatusServiceUnavailable, r.PostForm, "Too many people are logging in right now, so your password was not looked at. Try again in a few seconds.")
	default:
		s.takeBack(a)
		s.fail(w, r, err)
	}
}

// failed counts a wrong password, or an attempt that came too early, for the address. wait is not zero if there were too
// many.
func (s *Pages) failed(w http.ResponseWriter, r *http.Request) (wait time.Duration) {
	if s.Failures == nil {
		return 0
	}
	state := s.Failures.Take(clientaddr.Network(s.ClientAddr(r)))
	state.Tell(w.Header())
	return state.Wait
}

// tellFailed reports a login that failed; username is empty unless there is such an account.
func (s *Pages) tellFailed(r *http.Request, method, username string) {
	if s.LoginFailed != nil {
		s.LoginFailed(r, method, username)
	}
}

const wrongPassword = "User name or password is wrong."

// showWait shows the login page to somebody who has to wait before the next attempt.
func (s *Pages) showWait(w http.ResponseWriter, r *http.Request, why string, wait time.Duration) {
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	s.showLogin(w, r, http.StatusTooManyRequests, r.PostForm, fmt.Sprintf("%s Wait %d seconds, then try again.", why, seconds))
}

// enter logs the browser in and sends it on to d, which wants a proof from since or later; zero: any.
func (s *Pages) enter(w http.ResponseWriter, r *http.Request, p *person, d destination, since time.Time) {
	if !p.provenSince(since) {
		s.unproven(w, r, p, d)
		return
	}
	p.AuthenticatedAt = p.AuthenticatedAt.UTC().Truncate(time.Second)
	switch err := s.begin(w, r, p); {
	case errors.Is(err, fosite.ErrAccessDenied) && p.Method == byPassword: // the password was changed while it was compared
		s.tellFailed(r, p.Method, p.Username)
		s.showLogin(w, r, http.StatusForbidden, r.PostForm, wrongPassword)
		return
	case err != nil:
		if errors.Is(err, fosite.ErrAccessDenied) {
			s.tellFailed(r, p.Method, p.Username)
		}
		s.fail(w, r, err)
		return
	}
	if d.query != nil {
		s.setAnswers(w, p, d, answers{LoggedIn: true})
	}
	seeOther(w, r, d.String())
}

// logout ends the browser's session and goes on to another login, or to the page that says so.
func (s *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if token := s.cookies.Get(r, sessionCookie); token != "" {
		if err := s.Sessions.Delete(r.Context(), token); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	s.cookies.Clear(w, sessionCookie)
	s.cookies.Clear(w, stepCookie)
	s.afterLogout(w, r)
}

// logoutOutdated takes a logout form that has lost its session. The second click of a double click comes here, when
// the first has done what it asks for.
func (s *Pages) logoutOutdated(w http.ResponseWriter, r *http.Request) {
	p, err := s.current(r)
	switch {
	case err != nil:
		s.fail(w, r, err)
	case p != nil:
		s.outdated(w, r)
	default:
		s.afterLogout(w, r)
	}
}

func (s *Pages) afterLogout(w http.ResponseWriter, r *http.Request) {
	if d := s.destination(r.PostForm.Get("continue")); d.query != nil {
		seeOther(w, r, s.loginURL(d))
		return
	}
	seeOther(w, r, s.BasePath+"/logout")
}

// signedOutPage says that nobody is logged in, or offers to log out.
func (s *Pages) signedOutPage(w http.ResponseWriter, r *http.Request) {
	p, err := s.current(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := &SignedOutPage{Page: s.page(w, r, s.cookies.Get(r, sessionCookie))}
	if p != nil {
		page.Username = clean(p.Username, nameLimit)
	}
	s.render(w, r, http.StatusOK, "signedout", page)
}
