package test

import (
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// witness judges every exchange: correct answers always; while there is an outage also 503 with Retry-After.
type witness struct {
	mu       sync.Mutex
	outage   []time.Time // begin and end, as far as they have come
	answers  []exchange
	refusals int
}

func (w *witness) see(e exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, e)
	if e.status == http.StatusServiceUnavailable {
		w.refusals++
	}
}

// mark notes that the outage begins (the first time) or has ended (the second time).
func (w *witness) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outage = append(w.outage, time.Now())
}

// refused tells how many requests have been answered 503.
func (w *witness) refused() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusals
}

// awaitRefusals returns once n more requests have been answered 503.
func (w *witness) awaitRefusals(t *testing.T, n int) {
	t.Helper()
	target := w.refused() + n
	for deadline := time.Now().Add(40 * time.Second); w.refused() < target; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %d refusals within 40 s", n)
		}
	}
}

// judge fails the test for every exchange that a client should not have seen.
func (w *witness) judge(t *testing.T) {
	t.Helper()
	wrong := 0
	var before, during, after int
	for _, e := range w.answers {
		excused := len(w.outage) == 2 && e.ended.After(w.outage[0]) && e.started.Before(w.outage[1])
		switch {
		case right(&e):
		case excused && e.status == http.StatusServiceUnavailable && e.header.Get("Retry-After") != "":
		default:
			if wrong++; wrong <= 10 {
				t.Errorf("%s after the beginning of the outage, which took %s: %v", e.ended.Sub(w.outage[0]), w.outage[1].Sub(w.outage[0]), &e)
			}
		}
		switch {
		case e.ended.Before(w.outage[0]):
			before++
		case e.started.After(w.outage[1]):
			after++
		default:
			during++
		}
	}
	if before == 0 || w.refusals == 0 || after == 0 {
		t.Errorf("nothing was tested: %d answers before, %d refusals, %d answers after", before, w.refusals, after)
	}
	t.Logf("%d answers before, %d during (%d of all: 503), %d after; %d wrong", before, during, w.refusals, after, wrong)
}

// right tells whether e is the answer of a server that is well: the traffic asks for nothing that should fail, and
// looks only at tokens that are alive.
func right(e *exchange) bool {
	switch e.what {
	case "create":
		return e.status == http.StatusCreated
	case "delete", "disable":
		return e.status/100 == 2
	case "introspect":
		return e.status == http.StatusOK && e.body["active"] == true
	}
	return e.status == http.StatusOK
}

// outageLength is how long a database stays away at least, unless FOSITE_MCP_TEST_OUTAGE says otherwise.
func outageLength(t *testing.T) time.Duration {
	t.Helper()
	value := os.Getenv("FOSITE_MCP_TEST_OUTAGE")
	if value == "" {
		return 2 * time.Second
	}
	length, err := time.ParseDuration(value)
	if err != nil {
		t.Fatalf("FOSITE_MCP_TEST_OUTAGE: %v", err)
	}
	return length
}

// Clients of a server whose database goes away see 503 with Retry-After and nothing else, and all is well as soon as it
// is back.
func TestWhilePostgresIsDownClientsSee503AndNothingElse(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := startCluster(t)
	s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+database.url)
	seen, w := underTraffic(t, s)
	w.awaitPromises(t, 50)
	seen.mark()
	database.stop()
	for began := time.Now(); time.Since(began) < outageLength(t); {
		seen.awaitRefusals(t, 20)
	}
	database.start()
	waitFor(t, "http://"+s.public+"/readyz", s.stderr)
	seen.mark()
	w.awaitPromises(t, 200)
	w.stop()
	seen.judge(t)
	w.verify(t, 0, 0)
}

// A database that hangs is no better than one that is gone: the request limit ends the wait.
func TestWhilePostgresHangsClientsSee503WithinTheRequestLimit(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := startCluster(t)
	s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+database.url)
	seen, w := underTraffic(t, s)
	w.awaitPromises(t, 50)
	seen.mark()
	database.freeze()
	seen.awaitRefusals(t, 6)
	database.thaw()
	waitFor(t, "http://"+s.public+"/readyz", s.stderr)
	seen.mark()
	w.awaitPromises(t, 200)
	w.stop()
	seen.judge(t)
	w.verify(t, 0, 0)
	for _, e := range seen.answers {
		if took := e.ended.Sub(e.started); took > 20*time.Second {
			t.Errorf("%v took %s", &e, took)
		}
	}
}
