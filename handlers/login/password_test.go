package login_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/login"
	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/ory/fosite"
)

func TestAWrongLoginTellsNothing(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	s.user("gone")
	if err := s.store.Users().Disable(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	var first string
	for _, name := range []string{"alice", "nobody", "gone", "alice' OR 1=1 --", strings.Repeat("x", 5000)} {
		b := s.browser().get(request())
		b.submit("/login", "username", name, "password", "wrong password 1").wantPage(403, "Log in")
		var problem string
		for p := range elements(b.page, "p") {
			if attribute(p, "role") == "alert" {
				problem = text(p)
			}
		}
		if first == "" {
			first = problem
		}
		if problem != first || problem == "" {
			t.Errorf("%.20s: %q, want %q", name, problem, first)
		}
	}
	b := s.browser().get(request())
	b.submit("/login", "username", "gone", "password", password).wantPage(403, "Log in")
	b.submit("/login", "username", "alice", "password", password+"x").wantPage(403, "Log in")
	b.submit("/login", "username", "alice", "password", strings.Repeat("x", 20_000)).wantPage(403, "Log in")
	b.submit("/login", "username", "alice", "password", "").wantPage(400, "Log in")
	if got := b.fields("/login").Get("password"); got != "" {
		t.Errorf("the page repeats the password %q", got)
	}
}

// countingHasher tells how much work a login makes.
type countingHasher struct {
	quickHasher
	compared int
}

func (h *countingHasher) Compare(ctx context.Context, hash, data []byte) error {
	h.compared++
	return h.quickHasher.Compare(ctx, hash, data)
}

func TestAnUnknownAccountCostsAsMuchAsAKnownOne(t *testing.T) {
	hasher := &countingHasher{}
	s := newSite(t, func(o *login.Options) { o.Local.Hasher = hasher })
	s.user("alice")
	for i, name := range []string{"alice", "nobody"} {
		s.browser().get(request()).submit("/login", "username", name, "password", "wrong password 1")
		if hasher.compared != i+1 {
			t.Errorf("%s: %d comparisons, want one", name, hasher.compared-i)
		}
	}
}

func TestPasswordsAreHashedSlowly(t *testing.T) {
	hasher := provider.NewSecretHasher()
	for _, secret := range []string{password, client.NewSecret()} { // the hasher knows the second as one of its own
		hash, err := login.HashPassword(t.Context(), hasher, secret)
		if err != nil || !strings.HasPrefix(string(hash), "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("hash %q, error %v", hash, err)
		}
	}
}

func TestAPasswordIsTheSameHoweverItIsTyped(t *testing.T) {
	composed, _ := login.HashPassword(t.Context(), quickHasher{}, "caf\u00e9 au lait, please")
	decomposed, _ := login.HashPassword(t.Context(), quickHasher{}, "cafe\u0301 au lait, please")
	if string(composed) != string(decomposed) {
		t.Errorf("%q and %q differ", composed, decomposed)
	}
}

func TestCheckPassword(t *testing.T) {
	tests := []struct{ password, want string }{
		{"elevenchars", "has 11 characters and needs 12 or more"},
		{"äöüäöüäöüäö", "has 11 characters"},
		{"twelve chars", ""},
		{"longusername", "is the user name"},
		{strings.Repeat("x", 257), "up to 256 are allowed"},
		{"not utf-8 at all \xff", "not valid UTF-8"},
	}
	for _, test := range tests {
		err := login.CheckPassword("longusername", test.password)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.password, err, test.want)
		}
	}
}

func (b *browser) tryPassword(name string) int {
	b.submit("/login", "username", name, "password", "wrong password 1")
	return b.answer.StatusCode
}

func TestGuessingGetsSlower(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	b := s.browser().get(request())
	for range 6 {
		if status := b.tryPassword("alice"); status != 403 {
			t.Fatalf("status %d, want 403", status)
		}
	}
	if status := b.tryPassword("alice"); status != 429 || b.answer.Header.Get("Retry-After") != "1" {
		t.Fatalf("status %d, Retry-After %q; want 429 after 1 second", status, b.answer.Header.Get("Retry-After"))
	}
	b.logIn("alice").wantPage(429, "Log in") // even the right password has to wait
	s.clock = s.clock.Add(time.Second)
	if status := b.tryPassword("alice"); status != 403 {
		t.Fatalf("status %d after the wait, want 403", status)
	}
	if status := b.tryPassword("alice"); status != 429 || b.answer.Header.Get("Retry-After") != "2" {
		t.Fatalf("status %d, Retry-After %q; want 429 after 2 seconds", status, b.answer.Header.Get("Retry-After"))
	}
}

func TestNobodyIsLockedOutForLong(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	known := s.browser().get(request()).logIn("alice")
	attacker := s.browser().get(request())
	attacker.peer = stranger
	for range 300 {
		attacker.tryPassword("alice")
		s.clock = s.clock.Add(time.Second)
	}
	known.submit("/logout").logIn("alice").wantPage(200, "Allow The app?") // a browser that she has used before
	s.clock = s.clock.Add(15 * time.Second)
	s.browser().get(request()).logIn("alice").wantPage(200, "Allow The app?") // any other, a moment later
}

func TestOneAddressCannotTryMany(t *testing.T) {
	s := newSite(t)
	attacker := s.browser().get(request())
	attacker.peer = "[2001:db8::1]:999"
	names := 0
	for ; names < 100 && attacker.tryPassword("user"+strings.Repeat("x", names)) == 403; names++ {
		attacker.peer = "[2001:db8::" + string(rune('1'+names%9)) + "]:999" // one /64 is one address
	}
	if names != 21 {
		t.Errorf("%d attempts were let through, want 21", names)
	}
}

func TestAttemptsOfAnUnknownAddressCountByAccountOnly(t *testing.T) {
	s := newSite(t, func(o *login.Options) { o.ClientAddr = func(*http.Request) netip.Addr { return netip.Addr{} } })
	b := s.browser().get(request())
	for i := range 40 {
		if status := b.tryPassword("user" + strings.Repeat("x", i)); status != 403 {
			t.Fatalf("attempt %d: status %d, want 403", i, status)
		}
	}
}

// People share an address behind a proxy, or a whole company does: who mistypes is not everybody's affair.
func TestFailuresOfOthersAtTheAddressKeepNobodyOut(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	attacker := s.browser().get(request())
	for i := range 100 {
		attacker.tryPassword("user" + strings.Repeat("x", i))
	}
	s.browser().get(request()).logIn("alice").wantPage(200, "Allow The app?")

	b := s.browser().get(request()) // but the address gets one attempt at a time for each account, and is slowed down
	if status := b.tryPassword("alice"); status != 429 || !strings.Contains(b.body, "User name or password is wrong") {
		t.Errorf("a wrong password: %d, want 429 that says so", status)
	}
	b.logIn("alice").wantPage(429, "Log in")
	s.clock = s.clock.Add(time.Second)
	b.logIn("alice").wantPage(200, "Allow The app?")
}

// A browser that alice has used before has nothing to do with what others at her address do.
func TestAKnownBrowserIsNotPartOfTheCrowd(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	known := s.browser().get(request()).logIn("alice")
	attacker := s.browser().get(request())
	for i := range 100 {
		attacker.tryPassword("user" + strings.Repeat("x", i))
	}
	attacker.tryPassword("alice")
	known.submit("/logout").logIn("alice").wantPage(200, "Allow The app?")
}

// queueHasher is a hasher that is busy at times, and tells in which queue a comparison waits.
type queueHasher struct {
	quickHasher
	busy  bool
	queue string
}

func (h *queueHasher) ComparePassword(ctx context.Context, queue string, hash, data []byte) error {
	h.queue = queue
	if h.busy {
		return provider.ErrTooBusy
	}
	return h.Compare(ctx, hash, data)
}

// Busy is not wrong: it says so, and it counts against nobody.
func TestABusyServerCallsNoPasswordWrong(t *testing.T) {
	hasher := &queueHasher{}
	s := newSite(t, func(o *login.Options) { o.Local.Hasher = hasher })
	s.user("alice")
	b := s.browser().get(request())
	hasher.busy = true
	for range 60 {
		b.logIn("alice").wantPage(503, "Log in")
		if b.answer.Header.Get("Retry-After") == "" || strings.Contains(b.body, "wrong") {
			t.Fatalf("Retry-After %q, page %s", b.answer.Header.Get("Retry-After"), b.body)
		}
	}
	if n := strings.Count(s.log.String(), "too many logins at once"); n != 50 {
		t.Errorf("the log tells of %d in a flood of 60, want a sample of 50", n)
	}
	hasher.busy = false
	b.logIn("alice").wantPage(200, "Allow The app?")
}

// An outage is no failed login either.
func TestAnOutageCountsAgainstNobody(t *testing.T) {
	accounts := &failingAccounts{down: true}
	s := newSite(t, func(o *login.Options) {
		accounts.Accounts, o.Local.Accounts = o.Local.Accounts, accounts
	})
	s.user("alice")
	b := s.browser().get(request())
	for range 50 {
		b.logIn("alice").wantPage(503, "Please try again in a moment").get(request())
	}
	accounts.down = false
	b.logIn("alice").wantPage(200, "Allow The app?")
}

type failingAccounts struct {
	login.Accounts
	down bool
}

func (a *failingAccounts) LoginAccount(ctx context.Context, username string) (string, []byte, []string, error) {
	if a.down {
		return "", nil, nil, errors.New("connection refused")
	}
	return a.Accounts.LoginAccount(ctx, username)
}

// Who waits for whom when many log in: those of one address for each other. Where the address is not known, it is those
// who try one account.
func TestLanesOfLogins(t *testing.T) {
	hasher := &queueHasher{}
	s := newSite(t, func(o *login.Options) { o.Local.Hasher = hasher })
	s.user("alice")
	queue := func(peer, name string) string {
		b := s.browser().get(request())
		b.peer = peer
		b.tryPassword(name)
		return hasher.queue
	}
	here := queue("192.0.2.1:1", "alice")
	if other := queue("192.0.2.1:2", "bob"); other != here {
		t.Errorf("one address has the queues %q and %q", here, other)
	}
	if other := queue(stranger, "alice"); other == here {
		t.Errorf("two addresses share the queue %q", here)
	}
	known := s.browser().get(request()).logIn("alice")
	known.submit("/logout").logIn("alice")
	if hasher.queue == here {
		t.Errorf("a known browser waits for everybody at its address, in %q", here)
	}
	s = newSite(t, func(o *login.Options) {
		o.Local.Hasher = hasher
		o.ClientAddr = func(*http.Request) netip.Addr { return netip.Addr{} }
	})
	if queue("192.0.2.1:1", "alice") == queue("192.0.2.1:1", "bob") {
		t.Errorf("without addresses everybody waits in %q", hasher.queue)
	}
}

var _ fosite.Hasher = quickHasher{}
