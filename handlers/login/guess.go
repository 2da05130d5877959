package login

import (
	"net/http"
	"time"

	"fosite-mcp/handlers/clientaddr"
)

// guess is one try to log in with a password.
type guess struct {
	lane    string    // who else waits in it; see checkPassword
	crowded bool      // many attempts from this address have failed
	counted []counted // where, until its outcome is known
}

// guess counts a try to log in as username. It comes too early where wait is not zero.
//
// Failures count by account and by address. An address with many of them may still try each account, one attempt at a
// time: nobody is kept out because others at the same address failed in other names. A browser in which this person has
// logged in before has nothing to do with what others do.
func (s *Server) guess(r *http.Request, username string) (g guess, wait time.Duration) {
	account, known := s.accountKey(r, username)
	address := s.addressKey(r)
	g.lane = account
	if wait = s.count(&g, account, accountPace); wait > 0 || known || address == "" {
		return g, wait
	}
	g.lane = address
	if s.count(&g, address, addressPace) > 0 {
		g.crowded = true
		if wait = s.count(&g, address+" "+account, crowdedPace); wait > 0 {
			s.takeBack(g)
		}
	}
	return g, wait
}

func (s *Server) count(g *guess, key string, p pace) (wait time.Duration) {
	counted, wait := s.limits.try(key, p)
	if wait == 0 {
		g.counted = append(g.counted, counted)
	}
	return wait
}

// takeBack is for an attempt of which nobody has learned anything: no password was compared.
func (s *Server) takeBack(g guess) {
	for _, counted := range g.counted {
		s.limits.takeBack(counted)
	}
}

// succeeded forgets the failures in the person's name, and takes this attempt off the address.
func (s *Server) succeeded(g guess) {
	s.takeBack(g)
	s.limits.forget(g.counted[0].key)
}

// addressKey counts the failures of one address together.
func (s *Server) addressKey(r *http.Request) string {
	address := s.ClientAddr(r)
	if !address.IsValid() {
		return ""
	}
	return "address " + clientaddr.Network(address).String()
}

// knownBrowser is a browser in which somebody has logged in to an account before.
type knownBrowser struct {
	ID       string `json:"id"`
	Username string `json:"username"`
}

// knownLife is how long a browser is remembered after a login.
const knownLife = 90 * 24 * time.Hour

// accountKey counts failures for one account together, but apart for a browser that has logged in to it before:
// strangers who fail in a person's name cannot keep that person waiting.
func (s *Server) accountKey(r *http.Request, username string) (key string, known bool) {
	if browser, ok := s.knownBrowser(r, username); ok {
		return "browser " + browser.ID, true
	}
	return "account " + digest("account", username), false // of a fixed size, however long the name
}

func (s *Server) knownBrowser(r *http.Request, username string) (browser knownBrowser, ok bool) {
	ok = s.sign.open("known", s.cookies.get(r, knownCookie), &browser) && browser.Username == username
	return browser, ok
}

func (s *Server) remember(w http.ResponseWriter, r *http.Request, username string) {
	if _, known := s.knownBrowser(r, username); !known {
		s.cookies.set(w, knownCookie, s.sign.seal("known", knownBrowser{ID: newToken(), Username: username}), knownLife)
	}
}
