package storage

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/ory/fosite"
)

// Whoever makes an assertion chooses its exp. None may be used twice for that.
func TestAnAssertionIsUsedOnceWhateverItsExpiry(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		now := time.UnixMilli(1_700_000_000_500)
		store := e.store(t, WithClock(func() time.Time { return now }))
		for name, exp := range map[string]time.Time{
			"no time": {}, "1970": time.Unix(0, 0), "this second": now.Truncate(time.Second), "now": now, "soon": now.Add(time.Second),
			"the last time there is": time.Unix(math.MaxInt64, 0), "beyond milliseconds": time.Unix(math.MaxInt64/1000+1, 0),
		} {
			successes := 0
			for range 2 {
				err := store.MarkJWTUsedForTime(soon(t), name, exp)
				if err != nil && !errors.Is(err, fosite.ErrJTIKnown) {
					t.Fatal(err)
				}
				if err == nil {
					successes++
				}
			}
			if successes > 1 || successes == 0 && exp.After(now) {
				t.Errorf("%s: used %d times", name, successes)
			}
		}
	})
}

func TestRevokingBeforeATimeBeyondAllRevokesEverything(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		store.issue(t, "token", store.authenticated(t, "machine"))
		if err := store.RevokeClientBefore(soon(t), "machine", time.Unix(math.MaxInt64/1000+1, 0)); err != nil {
			t.Fatal(err)
		}
		wantAlive(t, store, "token", false)
	})
}

// A time before 1970 expires like any other, however many batches it takes.
func TestCleanUpReachesEveryTimeThereIs(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.store(t)
		for _, expiresAt := range []int64{math.MinInt64, -2, -1, 0, 1} {
			_, err := store.db.Run(soon(t), `INSERT INTO {used_assertions} (jti_hash, expires_at) VALUES (?, ?)`, hashOf(time.UnixMilli(expiresAt).String()), expiresAt)
			if err != nil {
				t.Fatal(err)
			}
		}
		if n, err := store.CleanUp(soon(t), CleanUp{Batch: 1, Share: 1}); err != nil || n != 5 {
			t.Errorf("%d rows deleted, %v; want 5", n, err)
		}
	})
}
