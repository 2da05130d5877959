package limit

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

type clock struct{ time.Time }

func (c *clock) now() time.Time          { return c.Time }
func (c *clock) advance(d time.Duration) { c.Time = c.Add(d) }

func newClock() *clock { return &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

func headers(s State) (policy, state, retry string) {
	h := http.Header{}
	s.Tell(h)
	return h.Get("RateLimit-Policy"), h.Get("RateLimit"), h.Get("Retry-After")
}

func TestAQuotaIsUsedUpAndRefillsEvenly(t *testing.T) {
	c := newClock()
	q := New[string]("address", 3, time.Hour, c.now)
	for _, want := range []string{`"address";r=2;t=1200`, `"address";r=1;t=2400`, `"address";r=0;t=3600`} {
		policy, state, retry := headers(q.Take("a"))
		if policy != `"address";q=3;w=3600` || state != want || retry != "" {
			t.Errorf("%s, %s, Retry-After %q; want %s", policy, state, retry, want)
		}
	}
	if policy, state, retry := headers(q.Take("a")); policy != `"address";q=3;w=3600` || state != `"address";r=0;t=1200` || retry != "1200" {
		t.Errorf("%s, %s, Retry-After %q", policy, state, retry)
	}
	if q.Take("b").Exceeded {
		t.Error("one caller uses up the quota of another")
	}
	c.advance(20*time.Minute - time.Second)
	if !q.Take("a").Exceeded {
		t.Error("it refills too early")
	}
	c.advance(2 * time.Second)
	if q.Take("a").Exceeded || !q.Take("a").Exceeded {
		t.Error("a third of the window should bring one")
	}
}

func TestWhoeverWaitsAsLongAsToldIsNotRefused(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 10, 59, 60, 5000, 1_000_000} {
		c := newClock()
		q := New[string]("x", n, time.Hour, c.now)
		for range n + 20 {
			if state := q.Take("a"); state.Exceeded {
				c.advance(state.Wait)
				if state.Wait <= 0 || q.Take("a").Exceeded {
					t.Fatalf("n=%d: refused after waiting for %v", n, state.Wait)
				}
			}
		}
	}
}

func TestSeveralQuotasShareTheHeaders(t *testing.T) {
	c := newClock()
	address, client := New[string]("address", 10, time.Hour, c.now), New[string]("client", 1, time.Hour, c.now)
	client.Take("a")
	h := http.Header{}
	address.Take("a").Tell(h)
	client.Take("a").Tell(h)
	State{}.Tell(h)
	if got := h.Get("RateLimit-Policy"); got != `"address";q=10;w=3600, "client";q=1;w=3600` {
		t.Error(got)
	}
	if got := h.Get("RateLimit"); got != `"address";r=9;t=360, "client";r=0;t=3600` || h.Get("Retry-After") != "3600" {
		t.Errorf("%s, Retry-After %s", got, h.Get("Retry-After"))
	}
}

func TestZeroMeansNoLimit(t *testing.T) {
	q := New[string]("x", 0, time.Hour, nil)
	for range 10_000 {
		if state := q.Take("a"); state != (State{}) {
			t.Fatal(state)
		}
	}
	if q.left.Len() != 0 {
		t.Error("callers are remembered for nothing")
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	q := New[int]("x", 1, time.Hour, newClock().now)
	q.Take(-1)
	for i := range 3 * callers {
		q.Take(i)
		if i%1000 == 0 && !q.Take(-1).Exceeded {
			t.Fatal("a caller who goes on is forgotten")
		}
	}
	if q.left.Len() != callers {
		t.Errorf("%d callers are remembered, want %d", q.left.Len(), callers)
	}
}

func TestManyAtOnceGetNoMoreThanTheQuota(t *testing.T) {
	q := New[string]("x", 100, time.Hour, newClock().now)
	var mu sync.Mutex
	allowed, refused := 0, 0
	q.Refused = func() { mu.Lock(); refused++; mu.Unlock() }
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 10 {
				if !q.Take("a").Exceeded {
					mu.Lock()
					allowed++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if allowed != 100 || refused != 400 {
		t.Errorf("%d allowed and %d refused, want 100 and 400", allowed, refused)
	}
}

func BenchmarkTake(b *testing.B) {
	q := New[int]("x", 5000, time.Hour, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			q.Take(i % 1000)
		}
	})
}
