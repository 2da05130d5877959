package test

import (
	"net/http"
	"testing"
	"time"
)

// underTraffic sends traffic to a server, and watches it.
func underTraffic(t *testing.T, s *server) (*witness, *traffic) {
	t.Helper()
	seen := new(witness)
	w := newTraffic(t, s, s.adminKey(), seen.see)
	w.run()
	return seen, w
}

// during marks the time that fn takes as an outage, and tells how many exchanges there were until its end.
func (w *witness) during(fn func()) int {
	w.mark()
	fn()
	w.mark()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answers)
}

// await returns once n exchanges have been seen.
func (w *witness) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		seen := len(w.answers)
		w.mu.Unlock()
		if seen >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d requests within two minutes", seen, n)
		}
	}
}

// judgeOutages fails the test for every wrong answer, but for refusals of what overlapped with an outage.
func (w *witness) judgeOutages(t *testing.T) {
	t.Helper()
	wrong, excused := 0, 0
	for _, e := range w.answers {
		switch {
		case right(&e):
		case w.overlaps(e) && e.status == http.StatusServiceUnavailable && e.header.Get("Retry-After") != "":
			excused++
		default:
			if wrong++; wrong <= 10 {
				t.Errorf("not during an outage: %v", &e)
			}
		}
	}
	t.Logf("%d requests, %d refused during an outage, %d wrong", len(w.answers), excused, wrong)
}

func (w *witness) overlaps(e exchange) bool {
	for i := 0; i+1 < len(w.outage); i += 2 {
		if e.ended.After(w.outage[i]) && e.started.Before(w.outage[i+1]) {
			return true
		}
	}
	return false
}

func get(t *testing.T, address string) int {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// awaitStatus waits until an address answers with a status.
func awaitStatus(t *testing.T, address string, want int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); get(t, address) != want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer %d", address, want)
		}
	}
}
