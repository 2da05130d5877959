package login

import (
	"strings"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	in := question{loggedIn: true, covered: true}
	tests := []struct {
		name   string
		change func(q *question)
		want   action
	}{
		{"nobody is logged in", func(q *question) { *q = question{} }, askLogin},
		{"nobody is logged in, silently", func(q *question) { *q = question{silent: true} }, refuseLogin},
		{"everything was allowed before", func(q *question) {}, grant},
		{"everything was allowed before, silently", func(q *question) { q.silent = true }, grant},
		{"not all was allowed", func(q *question) { q.covered = false }, askConsent},
		{"not all was allowed, silently", func(q *question) { q.covered, q.silent = false, true }, refuseConsent},
		{"an answer without a remembered consent", func(q *question) { q.covered, q.answers.Allowed = false, true }, askConsent},
		{"denied", func(q *question) { q.answers.Denied = true }, deny},
		{"prompt=login", func(q *question) { q.wantsLogin = true }, askLogin},
		{"prompt=login, done", func(q *question) { q.wantsLogin, q.answers.LoggedIn = true, true }, grant},
		{"prompt=login, denied instead", func(q *question) { q.wantsLogin, q.answers = true, answers{LoggedIn: true, Denied: true} }, deny},
		{"a login that is too old", func(q *question) { q.stale = true }, askLogin},
		{"a login that is too old, silently", func(q *question) { q.stale, q.silent = true, true }, refuseLogin},
		{"a login that was too old, renewed", func(q *question) { q.stale, q.answers.LoggedIn = true, true }, grant},
		{"a login that is too old, denied instead", func(q *question) { q.stale, q.answers.Denied = true, true }, deny},
		{"a form leads to the client", func(q *question) { q.showsPages, q.answers.LoggedIn = true, true }, endForm},
		{"a form leads to the client, and has ended", func(q *question) { q.showsPages, q.answers = true, answers{LoggedIn: true, FormEnded: true} }, grant},
		{"a form leads to the consent page", func(q *question) { q.showsPages, q.covered, q.answers.LoggedIn = true, false, true }, askConsent},
		{"a form of the consent page", func(q *question) { q.showsPages, q.answers = true, answers{LoggedIn: true, Allowed: true} }, grant},
		{"no form", func(q *question) { q.showsPages = true }, grant},
		{"prompt=consent", func(q *question) { q.wantsConsent = true }, askConsent},
		{"prompt=consent, allowed", func(q *question) { q.wantsConsent, q.answers.Allowed = true, true }, grant},
		{"a login is no consent", func(q *question) { q.wantsConsent, q.answers.LoggedIn = true, true }, askConsent},
		{"a consent is no login", func(q *question) { q.wantsLogin, q.answers.Allowed = true, true }, askLogin},
		{"a client that cannot be told apart", func(q *question) { q.unproven = true }, askConsent},
		{"a client that cannot be told apart, silently", func(q *question) { q.unproven, q.silent = true, true }, refuseConsent},
		{"a client that cannot be told apart, allowed", func(q *question) { q.unproven, q.answers.Allowed = true, true }, grant},
	}
	for _, test := range tests {
		q := in
		test.change(&q)
		if got := q.next(); got != test.want {
			t.Errorf("%s: step %d, want %d", test.name, got, test.want)
		}
	}
}

func TestWhatWasSealedForOnePurposeIsNothingForAnother(t *testing.T) {
	s, stranger := signer{[][]byte{[]byte(strings.Repeat("k", 32))}}, signer{[][]byte{[]byte(strings.Repeat("x", 32))}}
	sealed := s.seal("offer", offer{ClientID: "app"})
	var got offer
	if !s.open("offer", sealed, &got) || got.ClientID != "app" {
		t.Errorf("opened %+v", got)
	}
	for name, open := range map[string]bool{
		"another purpose": s.open("step", sealed, &got), "another key": stranger.open("offer", sealed, &got),
		"cut": s.open("offer", sealed[1:], &got), "empty": s.open("offer", "", &got), "a dot": s.open("offer", ".", &got),
	} {
		if open {
			t.Errorf("opened with %s", name)
		}
	}
	if s.mac("p", "ab", "c") == s.mac("p", "a", "bc") {
		t.Error("two lists of parts look the same")
	}
}

func TestTheThrottleForgets(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	throttle := newThrottle(func() time.Time { return now })
	for range 6 {
		throttle.try("k", accountBackoff)
	}
	if _, wait := throttle.try("k", accountBackoff); wait != time.Second {
		t.Fatalf("wait %v, want 1s", wait)
	}
	now = now.Add(6 * time.Minute)
	for i := range 6 {
		if _, wait := throttle.try("k", accountBackoff); wait > 0 {
			t.Fatalf("attempt %d after a pause: wait %v", i, wait)
		}
	}
	throttle.forget("k")
	if _, wait := throttle.try("k", accountBackoff); wait > 0 {
		t.Fatalf("after a success: wait %v", wait)
	}
}

func TestTheThrottleIsBounded(t *testing.T) {
	throttle := newThrottle(time.Now)
	for i := range throttled + 100 {
		throttle.try(time.Duration(i).String(), accountBackoff)
	}
	if n := throttle.entries.Len(); n != throttled {
		t.Errorf("%d entries, want %d", n, throttled)
	}
}

func TestTheClockGoingBackLocksNobodyOut(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	throttle := newThrottle(func() time.Time { return now })
	for range 6 {
		throttle.try("k", accountBackoff)
	}
	now = now.Add(-24 * time.Hour)
	_, wait := throttle.try("k", accountBackoff)
	now = now.Add(wait)
	if _, again := throttle.try("k", accountBackoff); wait > accountBackoff.ceiling || again > 0 {
		t.Errorf("wait %v, then %v", wait, again)
	}
}
