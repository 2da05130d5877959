package login

import (
	"net/http"
	"time"

	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/internal/browser"
)

// passwordAttempt is one attempt to log in with a password.
type passwordAttempt struct {
	queue string        // comparisons in one queue wait for each other; see checkPassword
	next  time.Duration // the wait after a wrong password, if many others were wrong
	// counted holds an entry for each key that counts the attempt. The last entry is for this address and account, or
	// for this browser.
	counted []counted
}

// countAttempt counts an attempt to log in as username. If wait is not zero, the attempt comes too early: the password is
// not compared, but the address pays for the attempt (see failed).
//
// Only earlier attempts of the same address on the same account delay an attempt. Many failures of the address on other
// accounts, or of other addresses on the account, leave one attempt at a time: the right password still gets in, and a wrong
// one has to wait. A browser in which this person has logged in before is not affected by others.
//
// So one address has 4 attempts a minute for an account in the long run, after the first 6. Each further address has as many
// at most. Together they have no more than the hashing queue compares on half of the processors. This is the only bound on
// an attacker with more addresses than the throttle remembers: any other bound would lock the person out.
func (s *Pages) countAttempt(r *http.Request, username string) (a passwordAttempt, wait time.Duration) {
	account := "account " + digest("account", username) // of a fixed size, however long the name
	address := s.addressKey(r)
	own, limit := address+" "+account, accountBackoff
	browser, known := s.knownBrowser(r, username)
	switch {
	case known:
		own = "browser " + browser.ID
		a.queue = own
	case address == "":
		a.queue = account
	default:
		a.queue = address
		for _, shared := range []string{address, account} {
			if s.count(&a, shared, sharedBackoff) > 0 {
				limit = crowdedBackoff
			}
		}
	}
	if wait = s.count(&a, own, limit); wait == 0 && limit == crowdedBackoff {
		a.next = limit.delay(a.own().after.level)
	}
	return a, wait
}

func (a *passwordAttempt) own() counted { return a.counted[len(a.counted)-1] }

func (s *Pages) count(a *passwordAttempt, key string, limit backoff) (wait time.Duration) {
	counted, wait := s.limits.try(key, limit)
	if wait == 0 {
		a.counted = append(a.counted, counted)
	}
	return wait
}

// takeBack uncounts an attempt whose password was not compared.
func (s *Pages) takeBack(a passwordAttempt) {
	for _, counted := range a.counted {
		s.limits.takeBack(counted)
	}
}

// succeeded forgets the failures of this address on the account, and uncounts this attempt at the shared keys.
func (s *Pages) succeeded(a passwordAttempt) {
	s.takeBack(a)
	s.limits.forget(a.own().key)
}

// addressKey counts the failures of one address together.
func (s *Pages) addressKey(r *http.Request) string {
	address := s.ClientAddr(r)
	if !address.IsValid() {
		return ""
	}
	return "address " + clientaddr.Network(address).String()
}

// knownBrowser is a browser in which somebody has logged in to an account before. Its failures count apart, so that
// strangers who fail on the account cannot keep its owner waiting.
type knownBrowser struct {
	ID       string `json:"id"`
	Username string `json:"username"`
}

// knownLife is how long a browser is remembered after a login.
const knownLife = 90 * 24 * time.Hour

func (s *Pages) knownBrowser(r *http.Request, username string) (browser knownBrowser, ok bool) {
	ok = s.sign.open("known", s.cookies.Get(r, knownCookie), &browser) && browser.Username == username
	return browser, ok
}

func (s *Pages) remember(w http.ResponseWriter, r *http.Request, username string) {
	if _, known := s.knownBrowser(r, username); !known {
		s.cookies.Set(w, knownCookie, s.sign.seal("known", knownBrowser{ID: browser.NewToken(), Username: username}), knownLife)
	}
}
