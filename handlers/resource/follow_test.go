package resource

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Revoked while the feed cannot be reached: the token passes for the bound at
// most, in the worst case too, which is a cut right after an answer.
func TestPartitionLetsNothingThroughLaterThanTheBound(t *testing.T) {
	for cutAfter := time.Duration(0); cutAfter < 3*time.Second; cutAfter += 370 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			a := newAuthorization()
			v := following(t, a)
			verify(t, v, "ci-1", true)
			time.Sleep(cutAfter)
			a.change(func() { a.cut = true })
			a.revoke("ci-1")
			revoked := time.Now()
			var last time.Duration
			for time.Since(revoked) < 2*defaultBound {
				if _, err := v.Verify(t.Context(), "ci-1"); err == nil {
					last = time.Since(revoked)
				} else if !errors.Is(err, ErrInactive) {
					t.Fatal(err)
				}
				time.Sleep(40 * time.Millisecond)
			}
			if last >= defaultBound || last < defaultBound/3 {
				t.Errorf("cut %s after the start: let through until %s after the revocation, want between a third of the bound and the bound", cutAfter, last)
			}
			a.change(func() { a.cut = false })
			time.Sleep(2 * defaultBound) // the connection is tried again
			verify(t, v, "ci-2", true)
			verify(t, v, "ci-2", true)
			if a.times("ci-2") != 1 {
				t.Error("the cache is not used after the partition")
			}
		})
	}
}

func TestWhatDropsEverything(t *testing.T) {
	for name, event := range map[string]func(a *authorization){
		"reset":             func(a *authorization) { a.epoch = "e2" },
		"not JSON":          func(a *authorization) { a.feedBody = "<html>" },
		"no cursor":         func(a *authorization) { a.feedBody = `{"revocations":[]}` },
		"no list":           func(a *authorization) { a.feedBody = `{"cursor":"e1.0"}` },
		"token without id":  func(a *authorization) { a.feedBody = `{"cursor":"e1.0","revocations":[{"kind":"token"}]}` },
		"entry of no kind":  func(a *authorization) { a.feedBody = `{"cursor":"e1.0","revocations":[{"id":"x"}]}` },
		"impossible time":   func(a *authorization) { a.feedBody = `{"cursor":"e1.0","revocations":[{"kind":"all","time":1e300}]}` },
		"cursor of a novel": func(a *authorization) { a.feedBody = `{"cursor":"` + strings.Repeat("x", 600) + `","revocations":[]}` },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthorization()
				v := following(t, a)
				verify(t, v, "ci-1", true)
				a.change(func() { event(a) })
				time.Sleep(100 * time.Millisecond)
				a.change(func() { a.feedBody = "" })
				time.Sleep(3 * time.Second)
				verify(t, v, "ci-1", true)
				verify(t, v, "ci-1", true)
				if got := a.times("ci-1"); got != 2 {
					t.Errorf("asked %d times, want 2: once before and once after", got)
				}
			})
		})
	}
}

// A page that is not the last one says nothing about what comes after it.
func TestSeveralPagesAreReadBeforeTheCacheIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.pageSize = 2
		v := following(t, a)
		verify(t, v, "ci-1", true)
		a.change(func() { a.cut = true })
		for i := range 7 {
			a.revoke(fmt.Sprintf("other-%d", i))
		}
		a.revoke("ci-1")
		time.Sleep(2 * defaultBound)
		a.change(func() { a.cut = false })
		time.Sleep(2 * time.Second)
		verify(t, v, "ci-1", false)
		if got := a.polls(); got < 5 {
			t.Errorf("%d answers of the feed, want at least 5", got)
		}
	})
}

func TestFeedThatRefusesIsSaidOnceAMinuteAndTokensAreStillChecked(t *testing.T) {
	for status, remedy := range map[int]string{
		401: "client id and secret", 403: "register this service as a resource server", 404: "update the authorization server", 500: "500",
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAuthorization()
			a.feedStatus = status
			config, log := a.config(t)
			v := started(t, config)
			for range 118 {
				time.Sleep(time.Second)
				verify(t, v, "ci-1", true)
			}
			a.revoke("ci-1")
			verify(t, v, "ci-1", false)
			v.Close()
			if got := strings.Count(log.String(), "revocation feed cannot be followed"); got != 2 || !strings.Contains(log.String(), remedy) {
				t.Errorf("status %d: said %d times in two minutes, want 2 with %q:\n%s", status, got, remedy, log)
			}
			if a.times("ci-1") != 119 {
				t.Errorf("status %d: asked %d times, want each time", status, a.times("ci-1"))
			}
			if status < 500 && a.polls() > 2*12+1 {
				t.Errorf("status %d: %d requests in two minutes", status, a.polls())
			}
			if strings.Contains(log.String(), secret) || strings.Contains(log.String(), "ci-1") {
				t.Errorf("the log shows a secret:\n%s", log)
			}
		})
	}
}

// An idle follower asks about four times within the bound, and not without end
// when the server does not wait.
func TestPaceOfTheFollower(t *testing.T) {
	for name, body := range map[string]string{"a server that waits": "", "one that does not": `{"cursor":"e1.0","revocations":[]}`,
		"one that repeats": `{"cursor":"e1.0","revocations":[{"kind":"all"}]}`} {
		synctest.Test(t, func(t *testing.T) {
			a := newAuthorization()
			a.feedBody = body
			following(t, a)
			time.Sleep(10 * defaultBound)
			if a.polls() < 30 || a.polls() > 90 {
				t.Errorf("%s: %d answers within 10 bounds", name, a.polls())
			}
		})
	}
}

// A page that is followed by more, and gets the follower no further, is not asked for without end.
func TestPaceWherePagesLeadNowhere(t *testing.T) {
	for name, body := range map[string]string{
		"the same cursor":     `{"cursor":"e1.0","revocations":[{"kind":"all"}],"more":true}`,
		"nothing on the page": `{"cursor":"e1.NEXT","revocations":[],"more":true}`,
		"a reset":             `{"cursor":"e1.NEXT","revocations":[{"kind":"all"}],"more":true,"reset":true}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAuthorization()
			a.feedBody, a.feedLag = body, time.Millisecond
			config, _ := a.config(t)
			v := started(t, config)
			time.Sleep(time.Second)
			if a.polls() < 5 || a.polls() > 25 {
				t.Errorf("%s: %d answers within a second", name, a.polls())
			}
			v.Close()
		})
	}
}

// The server lets four requests of a client wait. A fifth process of the
// service follows without waiting.
func TestFollowsWithoutWaitingWhereTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		a.noWaiting = true
		config, log := a.config(t)
		v := started(t, config)
		synctest.Wait()
		verify(t, v, "ci-1", true)
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			verify(t, v, "ci-1", true)
		}
		if a.times("ci-1") != 1 {
			t.Errorf("asked %d times within a minute, want once", a.times("ci-1"))
		}
		a.revoke("ci-1")
		time.Sleep(defaultBound)
		verify(t, v, "ci-1", false)
		if got := a.polls(); got > 70 {
			t.Errorf("%d answers within a minute", got)
		}
		v.Close()
		if log.Len() > 0 {
			t.Errorf("the log says:\n%s", log)
		}
	})
}
