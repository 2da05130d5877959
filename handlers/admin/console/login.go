package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/internal/browser"

	"github.com/ory/fosite"
)

// loginData is the data of login.html.
type loginData struct {
	Continue string // where to go afterwards
	Says     string
	Problem  string
	Provider string // the name of the provider; empty: there is none
}

func (v *visit) loginPage() error { return v.showLogin(http.StatusOK, loginData{}) }

func (v *visit) showLogin(status int, data loginData) error {
	given := v.cookie(formCookie)
	if given == "" {
		given = browser.NewToken()
		v.setCookie(formCookie, given)
	}
	if v.Provider != nil {
		data.Provider = v.Provider.Login.Name()
	}
	p := v.page("Log in", "", data)
	p.CSRF = derived(given, "console login")
	return v.render(status, "login", p)
}

// login takes an admin key. The API says whether it is one, so that wrong keys are limited and on record as they are there.
func (v *visit) login() error {
	form := v.r.PostForm
	data := loginData{Continue: form.Get("continue")}
	given := v.cookie(formCookie)
	if given == "" || !sameToken(form.Get("csrf"), derived(given, "console login")) {
		data.Problem = "This page was out of date, or your browser does not accept cookies. Try again."
		return v.showLogin(http.StatusForbidden, data)
	}
	key := strings.TrimSpace(form.Get("key"))
	answer, err := v.ask(v.r.Context(), http.MethodGet, "/clients?limit=1", nil, http.Header{"Authorization": {"Bearer " + key}})
	if err != nil {
		return err
	}
	if p := answer.problem(); p != nil {
		if p.Status >= http.StatusInternalServerError {
			return p
		}
		p.tell(v.w.Header())
		data.Problem = p.Detail
		return v.showLogin(p.Status, data)
	}
	found, err := v.API.Store.AdminKeys().Find(v.r.Context(), key)
	if errors.Is(err, fosite.ErrNotFound) {
		data.Problem = "The admin key has ended just now."
		return v.showLogin(http.StatusForbidden, data)
	}
	if err != nil {
		return err
	}
	err = v.begin(&session{KeyID: found.ID}, func(token string, encoded []byte) error {
		return v.API.Store.ConsoleSessions().Create(v.r.Context(), token, found, encoded, v.now().Add(sessionLife))
	})
	if err != nil {
		return err
	}
	return v.redirect(ownPage(data.Continue))
}

// maxContinue bounds the address of a page that a login leads to: the login at the provider carries it in a cookie.
const maxContinue = 2000

// ownPage is where a login leads: a page of the console, and nowhere else.
func ownPage(path string) string {
	u, err := url.Parse(path)
	if err != nil || len(path) > maxContinue || strings.Contains(u.Path, "/..") || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(u.Path, base+"/") || u.Path == base+"/login" {
		return base + "/"
	}
	return u.RequestURI()
}

func (v *visit) logout() error {
	if err := v.end(); err != nil {
		return err
	}
	v.clearCookie(sessionCookie)
	v.session = nil
	return v.showLogin(http.StatusOK, loginData{Says: "You are logged out."})
}
