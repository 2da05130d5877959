package login

import (
	"net/http"
	"time"
)

// The cookies. None outlives the browser's own session but knownCookie.
const (
	sessionCookie = "fosite_mcp_session" // who is logged in
	browserCookie = "fosite_mcp_browser" // ties forms to the browser they were given to
	stepCookie    = "fosite_mcp_step"    // what was just answered, for one authorization request
	knownCookie   = "fosite_mcp_known"   // somebody has logged in with this browser before
	oidcCookie    = "fosite_mcp_oidc_"   // one for each login that is under way at the provider
)

// cookies sets and reads cookies that scripts and other origins cannot. With https their names begin with __Host-,
// which keeps neighbouring host names from setting them (RFC 6265bis §4.1.3.2).
type cookies struct {
	secure bool
	path   string
}

func (c cookies) cookie(name, value string) *http.Cookie {
	cookie := &http.Cookie{Name: c.name(name), Value: value, Path: "/", HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode}
	if !c.secure && c.path != "" {
		cookie.Path = c.path
	}
	return cookie
}

func (c cookies) name(name string) string {
	if c.secure {
		return "__Host-" + name
	}
	return name
}

// set keeps value for as long as the browser is open, or for life if that is not zero.
func (c cookies) set(w http.ResponseWriter, name, value string, life time.Duration) {
	cookie := c.cookie(name, value)
	cookie.MaxAge = int(life / time.Second)
	http.SetCookie(w, cookie)
}

func (c cookies) clear(w http.ResponseWriter, name string) {
	cookie := c.cookie(name, "")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// get returns the cookie's value; empty: there is none.
func (c cookies) get(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.name(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}
