package login

import (
	"net/http"
	"time"

	"fosite-mcp/handlers/clientaddr"
)

// guess is one try to log in with a password.
type guess struct {
	lane    string        // who else waits in it; see checkPassword
	next    time.Duration // how long to wait after it, where it is wrong and many others were
	counted []counted     // where, until its outcome is known; the last one is its own
}

// guess counts a try to log in as username. It comes too early where wait is not zero: the password is not compared, but
// the try counts all the same.
//
// What holds a try back is only what the same address has done to the same account. Many failures at the address in other
// names, or on the account from elsewhere, leave one try at a time: the right password still gets in, a wrong one is told
// to wait. A browser in which this person has logged in before has nothing to do with what others do.
//
// So one address has 4 tries a minute for an account in the long run, after the first 6. Each further address has as many
// at most, and together they have no more than the hashing queue compares on half of the processors. That is the only bound
// for somebody with more addresses than the throttle remembers: any other one would lock the person out.
func (s *Pages) guess(r *http.Request, username string) (g guess, wait time.Duration) {
	account := "account " + digest("account", username) // of a fixed size, however long the name
	address := s.addressKey(r)
	own, p := address+" "+account, accountPace
	browser, known := s.knownBrowser(r, username)
	switch {
	case known:
		own = "browser " + browser.ID
		g.lane = own
	case address == "":
		g.lane = account
	default:
		g.lane = address
		for _, shared := range []string{address, account} {
			if s.count(&g, shared, sharedPace) > 0 {
				p = crowdedPace
			}
		}
	}
	if wait = s.count(&g, own, p); wait == 0 && p == crowdedPace {
		g.next = p.delay(g.own().after.level)
	}
	return g, wait
}

func (g *guess) own() counted { return g.counted[len(g.counted)-1] }

func (s *Pages) count(g *guess, key string, p pace) (wait time.Duration) {
	counted, wait := s.limits.try(key, p)
	if wait == 0 {
		g.counted = append(g.counted, counted)
	}
	return wait
}

// takeBack is for an attempt of which nobody has learned anything: no password was compared.
func (s *Pages) takeBack(g guess) {
	for _, counted := range g.counted {
		s.limits.takeBack(counted)
	}
}

// succeeded forgets the failures in the person's name here, and takes this attempt off what others share.
func (s *Pages) succeeded(g guess) {
	s.takeBack(g)
	s.limits.forget(g.own().key)
}

// addressKey counts the failures of one address together.
func (s *Pages) addressKey(r *http.Request) string {
	address := s.ClientAddr(r)
	if !address.IsValid() {
		return ""
	}
	return "address " + clientaddr.Network(address).String()
}

// knownBrowser is a browser in which somebody has logged in to an account before. Its failures count apart: strangers who
// fail in a person's name cannot keep that person waiting.
type knownBrowser struct {
	ID       string `json:"id"`
	Username string `json:"username"`
}

// knownLife is how long a browser is remembered after a login.
const knownLife = 90 * 24 * time.Hour

func (s *Pages) knownBrowser(r *http.Request, username string) (browser knownBrowser, ok bool) {
	ok = s.sign.open("known", s.cookies.get(r, knownCookie), &browser) && browser.Username == username
	return browser, ok
}

func (s *Pages) remember(w http.ResponseWriter, r *http.Request, username string) {
	if _, known := s.knownBrowser(r, username); !known {
		s.cookies.set(w, knownCookie, s.sign.seal("known", knownBrowser{ID: newToken(), Username: username}), knownLife)
	}
}
