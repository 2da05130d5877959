package login_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/clientaddr"
	"fosite-mcp/handlers/limit"
	"fosite-mcp/handlers/login"
)

// behindProxy is a browser whose address the proxy names.
func (s *site) behindProxy(address string) *browser {
	b := s.browser()
	b.header.Set("X-Real-IP", address)
	return b.get(request())
}

func believeProxy(o *login.Options) { o.ClientAddr = clientaddr.FromHeader("X-Real-IP") }

// Whoever fails in a person's name, as fast as they like, takes no try from that person.
func TestAnAttackerElsewhereKeepsNobodyOut(t *testing.T) {
	hasher := &countingHasher{}
	s := newSite(t, believeProxy, func(o *login.Options) { o.Local.Hasher = hasher })
	s.user("alice")
	attacker := s.behindProxy("198.51.100.1")
	guesses := 0
	for range 60 {
		before := hasher.compared
		for range 20 {
			attacker.tryPassword("alice")
		}
		guesses += hasher.compared - before
		s.behindProxy("203.0.113.9").logIn("alice").wantPage(200, "Allow The app?")
		s.clock = s.clock.Add(time.Second)
	}
	if guesses > 12 {
		t.Errorf("%d passwords of the attacker were compared in a minute", guesses)
	}
	mistyped := s.behindProxy("203.0.113.9")
	if status := mistyped.tryPassword("alice"); !strings.Contains(mistyped.body, "User name or password is wrong") {
		t.Errorf("a wrong password elsewhere: %d, and it was not looked at", status)
	}
}

// Where the proxy names no address, everybody has its own: an attack on one account there is no affair of the others, nor
// of a browser that the person has used before, and it ends with the attack.
func TestAnAttackerBehindTheSameProxy(t *testing.T) {
	s := newSite(t)
	s.user("alice")
	s.user("bob")
	known := s.browser().get(request()).logIn("alice")
	attacker := s.browser().get(request())
	for range 60 {
		for range 20 {
			attacker.tryPassword("alice")
		}
		s.browser().get(request()).logIn("bob").wantPage(200, "Allow The app?")
		known.submit("/logout").logIn("alice").wantPage(200, "Allow The app?")
		s.clock = s.clock.Add(time.Second)
	}
	s.clock = s.clock.Add(time.Minute)
	s.browser().get(request()).logIn("alice").wantPage(200, "Allow The app?")
}

// Many addresses get one try each; a right one is let in, wrong ones are told to wait.
func TestAnAttackerWithManyAddresses(t *testing.T) {
	hasher := &countingHasher{}
	s := newSite(t, believeProxy, func(o *login.Options) { o.Local.Hasher = hasher })
	s.user("alice")
	const addresses = 200
	for i := range addresses {
		attacker := s.behindProxy(fmt.Sprintf("198.51.100.%d", i))
		for range 10 {
			attacker.tryPassword("alice")
		}
	}
	if limit := addresses + 5*21; hasher.compared > limit { // 21 tries before there are many
		t.Errorf("%d passwords were compared, want %d at most", hasher.compared, limit)
	}
	b := s.behindProxy("203.0.113.9")
	if status := b.tryPassword("alice"); status != 429 || !strings.Contains(b.body, "User name or password is wrong") || b.answer.Header.Get("Retry-After") != "1" {
		t.Errorf("a wrong password: %d, Retry-After %q; want 429 that says so, and 1", status, b.answer.Header.Get("Retry-After"))
	}
	s.behindProxy("203.0.113.10").logIn("alice").wantPage(200, "Allow The app?")
}

// An attempt that comes too early is not free.
func TestHeldBackAttemptsCountForTheAddress(t *testing.T) {
	s := newSite(t, func(o *login.Options) {
		o.Failures = limit.New[netip.Prefix]("address-failures", 8, time.Minute, o.Now)
	})
	b := s.browser().get(request())
	for range 7 {
		b.tryPassword("alice")
	}
	if left := b.answer.Header.Get("RateLimit"); b.answer.StatusCode != 429 || !strings.Contains(left, ";r=1;") {
		t.Errorf("status %d, RateLimit %q; want 429 and one left", b.answer.StatusCode, left)
	}
	for range 20 {
		b.tryPassword("alice")
	}
	if status := b.tryPassword("bob"); status != 429 || !strings.Contains(b.body, "User name or password is wrong") {
		t.Errorf("another name: %d, want 429 that says that it is wrong", status)
	}
	if status := b.tryPassword("bob"); status != 429 || strings.Contains(b.body, "is wrong") {
		t.Errorf("at once again: %d, want 429 before it is looked at", status)
	}
}
