package resource

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A token is known as revoked for the whole lifespan that it can have, whenever
// others are told.
func TestRevocationIsKnownForAWholeLifespan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, began := newKillSwitch(time.Hour), time.Now()
		at := func(minute int, id string) {
			time.Sleep(time.Until(began.Add(time.Duration(minute) * time.Minute)))
			k.revoked([]revocation{{Kind: kindToken, ID: id, Time: numericDate{time.Now()}}})
		}
		at(31, "x")
		at(33, "second")
		at(66, "third")
		at(90, "fourth")
		if got := k.judge(&Token{ID: "x", IssuedAt: began}); got != revoked {
			t.Errorf("59 minutes after its revocation: verdict %d, want revoked", got)
		}
		at(63+66, "fifth")
		at(63+66+66, "sixth")
		if got := k.judge(&Token{ID: "x", IssuedAt: time.Now().Add(time.Hour)}); got != notRevoked {
			t.Errorf("hours after its revocation: verdict %d, want it forgotten", got)
		}
	})
}

// iat has whole seconds, and an entry without a time may be of a clock that is
// a minute ahead.
func TestWhichTokensOfAChangedClientAreUnsure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		change := time.Now()
		for name, entry := range map[string]struct {
			revocation
			until time.Time
		}{
			"a client":                {revocation{kindClient, "ci", numericDate{change}}, change.Add(time.Second)},
			"all":                     {revocation{kindAll, "", numericDate{change}}, change.Add(time.Second)},
			"a client without a time": {revocation{Kind: kindClient, ID: "ci"}, change.Add(time.Minute + time.Second)},
			"all without a time":      {revocation{Kind: kindAll}, change.Add(time.Minute + time.Second)},
		} {
			k := newKillSwitch(time.Hour)
			k.revoked([]revocation{entry.revocation})
			for issued, want := range map[time.Time]verdict{change.Add(-time.Hour): unsure, entry.until: unsure, entry.until.Add(time.Second): notRevoked} {
				if got := k.judge(&Token{ID: "1", ClientID: "ci", IssuedAt: issued}); got != want {
					t.Errorf("%s: issued %s after: verdict %d, want %d", name, issued.Sub(change), got, want)
				}
			}
		}
	})
}

// Everything is forgotten and loaded again around the moment at which a reader
// looks at what was revoked. It finds nothing then.
func TestReaderDoesNotSlipThroughAReload(t *testing.T) {
	now := time.Now()
	token := &Token{ID: "x", ClientID: "ci", IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	for name, complete := range map[string]*time.Time{"begun before the reload": &now, "begun within it": nil} {
		k := newKillSwitch(time.Hour)
		v := &JWTVerifier{lifespan: time.Hour, ended: k, follower: &follower{bound: time.Hour}}
		v.follower.complete.Store(complete)
		done := make(chan *Token, 1)
		k.mu.Lock()
		go func() {
			got, _ := v.unlessRevoked(t.Context(), "", token)
			done <- got
		}()
		for stacks := make([]byte, 1<<20); !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "[sync.RWMutex.RLock"); {
			runtime.Gosched() // until the reader waits
		}
		if complete != nil {
			k.forget()
		}
		v.follower.complete.Store(&now)
		k.mu.Unlock()
		k.revoked([]revocation{{Kind: kindToken, ID: "x"}})
		if got := <-done; got != nil {
			t.Errorf("%s: a revoked token passed", name)
		}
	}
}
