package resource

import (
	"testing"
	"testing/synctest"
	"time"
)

// A key that has leaked is taken away at the issuer.
func TestKeyThatIsGoneIsRefusedWhenTheKeysAreFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := a.offline(t)
		token := testKeys()[algES256].token(time.Now(), nil)
		verify(t, v, token, true)
		a.change(func() { a.keys = []testKey{testKeys()[algRS256]} })
		time.Sleep(defaultKeysAge - time.Second)
		verify(t, v, token, true)
		time.Sleep(time.Second)
		v.Verify(t.Context(), token) // starts the fetch
		synctest.Wait()
		time.Sleep(fetchPause)
		verify(t, v, token, false)
		if _, err := v.Verify(t.Context(), testKeys()[algRS256].token(time.Now(), nil)); err != nil {
			t.Error(err)
		}
	})
}

// Nobody has fetched keys meanwhile.
func TestKeyThatIsGoneIsRefusedAtItsFirstUseAfterMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := a.offline(t)
		now := time.Now()
		gone, stays := testKeys()[algES256].token(now, nil), testKeys()[algRS256].token(now, nil)
		verify(t, v, gone, true)
		a.change(func() { a.keys, a.keysLag = []testKey{testKeys()[algRS256]}, 300*time.Millisecond })
		time.Sleep(30 * time.Minute)
		verify(t, v, gone, false)
		verify(t, v, stays, true)

		// The fetch fails: the key is used as before, and nobody waits again within a minute.
		a.change(func() { a.keysFail = true })
		time.Sleep(20 * time.Minute)
		for i, wait := range []time.Duration{300 * time.Millisecond, 0, 0} {
			began := time.Now()
			verify(t, v, stays, true)
			if took := time.Since(began); took != wait {
				t.Errorf("request %d waited %s, want %s", i, took, wait)
			}
			time.Sleep(10 * time.Second)
		}
		a.change(func() { a.keysFail, a.keys = false, nil })
		time.Sleep(10 * time.Minute)
		if _, err := v.Verify(t.Context(), stays); err == nil {
			t.Error("a key passed that was taken away while keys could not be fetched")
		}
	})
}
