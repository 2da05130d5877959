package provider

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ory/fosite/storage"
)

// Few wrong secrets are refused at once, however many at a time.
func TestRefusalsAreFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &ClientAuthenticator{Store: storage.NewMemoryStore()}
		start := time.Now()
		for range refusalsAtOnce {
			if err := authenticate(t.Context(), a, "unknown", "wrong"); err == nil {
				t.Fatal("let in")
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the last one waited for %v", took)
		}
	})
}

// Whoever tries secrets as fast as the server answers is answered at a pace that leaves the server to others.
func TestAFloodOfWrongSecretsIsAnsweredAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &ClientAuthenticator{Store: storage.NewMemoryStore()}
		var answered atomic.Int64
		var workers sync.WaitGroup
		start := time.Now()
		for range 50 {
			workers.Go(func() {
				for answered.Add(1) <= 10_000 {
					_ = authenticate(t.Context(), a, "unknown", "wrong")
				}
			})
		}
		workers.Wait()
		if took := time.Since(start); took < 18*time.Second || took > 21*time.Second {
			t.Errorf("10,000 took %v, want 19 s: %d of them a second", took, refusalsPerSecond)
		}
	})
}

func TestNoRefusalIsHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p refusalLimit
		var held sync.WaitGroup
		for range 2 * maxHeld {
			held.Go(func() {
				start := time.Now()
				p.hold(t.Context())
				if took := time.Since(start); took > maxHold {
					t.Errorf("held for %v, want %v at most", took, maxHold)
				}
			})
		}
		synctest.Wait()
		if n := p.held.Load(); n != maxHeld {
			t.Errorf("%d are held, want %d: they take memory", n, maxHeld)
		}
		held.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		for range 2 * refusalsPerSecond {
			p.hold(gone)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("those who have hung up are held for %v", took)
		}
	})
}
