package audit_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/enginetest"
)

func TestOneClaimOfAnIdempotencyKeyWins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.store(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 20 {
			wg.Go(func() {
				claim, kept, err := s.IdempotencyKeys().Claim(t.Context(), []byte("key"), []byte("print"))
				if kept != nil || (claim == nil) == (err == nil) || err != nil && !errors.Is(err, audit.ErrIdempotencyRunning) {
					t.Errorf("%v %v %v", claim, kept, err)
				}
				if claim != nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d claims won, want 1", won)
		}
	})
}

func TestAnAnswerIsKeptForADayAndItsSecretForMinutes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.store(t, storage.WithClock(clock.now))
		ctx := t.Context()
		key, fingerprint := []byte("key"), []byte("print")
		claim, _, err := s.IdempotencyKeys().Claim(ctx, key, fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		answer := audit.KeptAnswer{Status: 201, Header: http.Header{"Location": {"/x"}}, Body: []byte(`{}`), Sealed: []byte{0, 255}}
		if err := s.IdempotencyKeys().Complete(ctx, claim, answer); err != nil {
			t.Fatal(err)
		}
		want := func(step string, answer audit.KeptAnswer) {
			t.Helper()
			claim, kept, err := s.IdempotencyKeys().Claim(ctx, key, fingerprint)
			if err != nil || claim != nil {
				t.Fatalf("%s: %v %v", step, claim, err)
			}
			if diff := cmp.Diff(&answer, kept); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		want("at once", answer)
		if _, _, err := s.IdempotencyKeys().Claim(ctx, key, []byte("another request")); !errors.Is(err, audit.ErrIdempotencyReused) {
			t.Errorf("another request: %v", err)
		}
		clock.forward(audit.ReplaySecretFor)
		withoutSecret := answer
		withoutSecret.Sealed = nil
		want("10 minutes later", withoutSecret)
		if err := s.IdempotencyKeys().Prune(ctx, clock.now()); err != nil {
			t.Fatal(err)
		}
		var sealed []byte
		if err := s.db.Raw(enginetest.SQL(`SELECT sealed FROM {idempotency_keys}`)).Row().Scan(&sealed); err != nil || sealed != nil {
			t.Errorf("sealed %v (%v): an old secret was not erased", sealed, err)
		}
		want("10 minutes later and pruned", withoutSecret)
		clock.forward(audit.IdempotencyLifetime)
		claim, _, err = s.IdempotencyKeys().Claim(ctx, key, []byte("another request"))
		if err != nil || claim == nil {
			t.Errorf("a day later: %v", err)
		}
	})
}

func TestAnAbandonedClaimIsTakenOverOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.store(t, storage.WithClock(clock.now))
		ctx := t.Context()
		slow, _, err := s.IdempotencyKeys().Claim(ctx, []byte("key"), []byte("print"))
		if err != nil {
			t.Fatal(err)
		}
		clock.forward(audit.IdempotencyClaim)
		second, _, err := s.IdempotencyKeys().Claim(ctx, []byte("key"), []byte("print"))
		if err != nil || second == nil {
			t.Fatal(err)
		}
		// Whoever was only slow must not do it a second time, nor set the key free.
		if err := s.IdempotencyKeys().Complete(ctx, slow, audit.KeptAnswer{Status: 201}); !errors.Is(err, audit.ErrIdempotencyRunning) {
			t.Errorf("the slow one completes: %v", err)
		}
		if err := s.IdempotencyKeys().Release(ctx, slow); err != nil {
			t.Fatal(err)
		}
		if err := s.IdempotencyKeys().Complete(ctx, second, audit.KeptAnswer{Status: 201}); err != nil {
			t.Errorf("the second one completes: %v", err)
		}
		if err := s.IdempotencyKeys().Release(ctx, second); err != nil {
			t.Fatal(err)
		}
		if _, kept, err := s.IdempotencyKeys().Claim(ctx, []byte("key"), []byte("print")); kept == nil || err != nil {
			t.Errorf("an answer that was kept is gone: %v", err)
		}
	})
}
