package resource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// following starts an introspector in the bubble, and waits until it follows.
func following(t *testing.T, a *authorization, edit ...func(*Config)) *Introspector {
	t.Helper()
	config, _ := a.config(t)
	for _, e := range edit {
		e(&config)
	}
	v := started(t, config)
	synctest.Wait()
	return v
}

func TestKeptAnswerIsUsedUntilTheTokenIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := following(t, a)
		for range 100 {
			verify(t, v, "ci-1", true)
			verify(t, v, "ci-2", true)
			time.Sleep(time.Second)
		}
		if a.times("ci-1") != 1 {
			t.Errorf("asked %d times, want once", a.times("ci-1"))
		}
		a.revoke("ci-1")
		time.Sleep(defaultBound / 50)
		verify(t, v, "ci-1", false)
		verify(t, v, "ci-2", true)
		if a.times("ci-1") != 2 || a.times("ci-2") != 1 {
			t.Errorf("asked %d and %d times, want 2 and 1", a.times("ci-1"), a.times("ci-2"))
		}
	})
}

// The introspection is answered before the revocation, and the answer arrives
// after the feed has told of it.
func TestAnswerThatIsOlderThanARevocationIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := following(t, a)
		a.change(func() { a.lag = 300 * time.Millisecond })
		var group sync.WaitGroup
		group.Go(func() { verify(t, v, "ci-1", true) })
		time.Sleep(100 * time.Millisecond)
		a.revoke("ci-1")
		group.Wait()
		a.change(func() { a.lag = 0 })
		verify(t, v, "ci-1", false)
	})
}

func TestClientAndAllAreDroppedFromTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := following(t, a)
		tokens := []string{"ci-1", "ci-2", "bot-1"}
		for i, tc := range []struct {
			kind, id string
			asked    []int
		}{
			{kindToken, "id-ci-1", []int{2, 1, 1}},
			{kindClient, "ci", []int{3, 2, 1}},
			{kindClient, "nobody", []int{3, 2, 1}},
			{kindAll, "", []int{4, 3, 2}},
			{"a kind of next year", "", []int{5, 4, 3}},
		} {
			for _, token := range tokens {
				verify(t, v, token, true)
			}
			a.tell(tc.kind, tc.id)
			time.Sleep(time.Second)
			for j, token := range tokens {
				verify(t, v, token, true)
				if got := a.times(token); got != tc.asked[j] {
					t.Errorf("%d: after %s %q: %s was asked about %d times, want %d", i, tc.kind, tc.id, token, got, tc.asked[j])
				}
			}
		}
	})
}

func TestWhatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		for token, members := range map[string]string{
			"a-noid":     `,"jti":""`,
			"a-noclient": `,"client_id":""`,
			"a-large":    `,"x":"` + strings.Repeat("x", maxKeptAnswer) + `"`,
			"a-past":     fmt.Sprintf(`,"exp":%d`, time.Now().Unix()-1), // within the skew of the local check
		} {
			a.members[token] = members
		}
		a.ended["a-ended"] = true
		v := following(t, a)
		for token := range a.members {
			verify(t, v, token, true)
			verify(t, v, token, true)
			if a.times(token) != 2 {
				t.Errorf("%s: asked %d times, want 2", token, a.times(token))
			}
		}
		verify(t, v, "a-ended", false)
		verify(t, v, "a-ended", false)
		if a.times("a-ended") != 2 {
			t.Error("a negative answer was kept")
		}
	})
}

func TestKeptUntilExpiryAndMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.members["ci-short"] = fmt.Sprintf(`,"exp":%d`, time.Now().Unix()+30)
		v := following(t, a, func(c *Config) { c.Cache = &Cache{MaxAge: time.Minute} })
		for _, tc := range []struct {
			at          time.Duration
			short, long int
		}{{0, 1, 1}, {29 * time.Second, 1, 1}, {30 * time.Second, 2, 1}, {59 * time.Second, 3, 1}, {60 * time.Second, 4, 2}} {
			time.Sleep(tc.at - time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			verify(t, v, "ci-short", true) // the server is generous, and says so each time
			verify(t, v, "ci-long", true)
			if s, l := a.times("ci-short"), a.times("ci-long"); s != tc.short || l != tc.long {
				t.Errorf("after %s: asked %d and %d times, want %d and %d", tc.at, s, l, tc.short, tc.long)
			}
		}
	})
}

func TestEntriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := following(t, a, func(c *Config) { c.Cache = &Cache{Entries: 10} })
		for i := range 100 {
			verify(t, v, fmt.Sprintf("ci-%d", i), true)
		}
		kept := v.cache.answers
		if len(kept.byKey) != 10 || len(kept.byID) != 10 || len(kept.byClient["ci"]) != 10 {
			t.Errorf("%d, %d and %d entries, want 10", len(kept.byKey), len(kept.byID), len(kept.byClient["ci"]))
		}
	})
}

func TestManyRequestsWithANewTokenAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.lag = 100 * time.Millisecond
		v := following(t, a)
		first, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := v.Verify(first, "ci-1"); !errors.Is(err, context.Canceled) {
				t.Errorf("the first one left: error %v", err)
			}
		})
		time.Sleep(10 * time.Millisecond)
		for range 50 {
			group.Go(func() { verify(t, v, "ci-1", true) })
		}
		time.Sleep(10 * time.Millisecond)
		cancel()
		group.Wait()
		if a.times("ci-1") != 1 {
			t.Errorf("asked %d times, want once", a.times("ci-1"))
		}
	})
}

// A question that has waited for long may be about the time before a
// revocation.
func TestOldQuestionIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.lag = 4 * time.Second
		v := following(t, a)
		var group sync.WaitGroup
		group.Go(func() { verify(t, v, "ci-1", true) })
		time.Sleep(2 * time.Second)
		a.change(func() { a.lag = 0; a.ended["ci-1"] = true })
		verify(t, v, "ci-1", false)
		group.Wait()
	})
}

func TestClosedIntrospectorAsksEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := following(t, a)
		verify(t, v, "ci-1", true)
		v.Close()
		v.Close()
		verify(t, v, "ci-1", true)
		if a.times("ci-1") != 2 {
			t.Errorf("asked %d times, want 2", a.times("ci-1"))
		}
		before := a.polls()
		time.Sleep(time.Minute)
		if a.polls() != before {
			t.Error("the feed is still asked")
		}
	})
}

func TestMistakesInTheCachesConfigurationAreReported(t *testing.T) {
	a := newAuthorization()
	for _, tc := range []struct {
		edit func(*Config)
		want string
	}{
		{func(c *Config) { c.Revocations = "" }, "revocations_endpoint"},
		{func(c *Config) { c.Revocations = "http://auth.example.com/revocations" }, "https"},
		{func(c *Config) { c.Cache.Bound = time.Millisecond }, "Cache.Bound"},
		{func(c *Config) { c.Cache.MaxAge = -1 }, "Cache.MaxAge"},
		{func(c *Config) { c.Cache.Entries = -1 }, "Cache.Entries"},
	} {
		config, _ := a.config(t)
		tc.edit(&config)
		if _, err := NewIntrospector(config); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one about %s", err, tc.want)
		}
	}
}
