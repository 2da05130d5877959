// Package browser is what pages keep in a person's browser: [Cookies], and values that nobody can guess ([NewToken]).
package browser

import (
	"crypto/rand"
	"net/http"
	"time"
)

// NewToken is a random value that nobody can guess: 260 bits.
func NewToken() string { return rand.Text() + rand.Text() }

// Cookies sets and reads cookies that scripts and other origins cannot. With https their names begin with __Host-,
// which keeps neighbouring host names from setting them (RFC 6265bis §4.1.3.2).
type Cookies struct {
	Secure   bool   // the pages are reached by https
	Path     string // of the pages; it counts without https alone
	SameSite http.SameSite
}

func (c Cookies) cookie(name, value string) *http.Cookie {
	cookie := &http.Cookie{Name: c.Name(name), Value: value, Path: "/", HttpOnly: true, Secure: c.Secure, SameSite: c.SameSite}
	if !c.Secure && c.Path != "" {
		cookie.Path = c.Path
	}
	return cookie
}

// Name is the cookie's name as the browser knows it.
func (c Cookies) Name(name string) string {
	if c.Secure {
		return "__Host-" + name
	}
	return name
}

// Set keeps value for as long as the browser is open, or for life if that is not zero.
func (c Cookies) Set(w http.ResponseWriter, name, value string, life time.Duration) {
	cookie := c.cookie(name, value)
	cookie.MaxAge = int(life / time.Second)
	http.SetCookie(w, cookie)
}

// Clear removes a cookie.
func (c Cookies) Clear(w http.ResponseWriter, name string) {
	cookie := c.cookie(name, "")
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}

// Get returns the cookie's value; empty: there is none.
func (c Cookies) Get(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.Name(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}
