package admin_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
)

func withOnce(key string) map[string]string { return map[string]string{"Idempotency-Key": key} }

func TestARepetitionGetsTheFirstAnswerAgain(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		register := call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("k1")}
		first := w.do(register).want(t, http.StatusCreated)
		id := first.str("client_id")
		rotate := call{method: "POST", path: "/clients/" + id + "/secrets", body: `{"expires_in":60}`, header: withOnce("k2")}
		for _, c := range []call{register, rotate} {
			first := w.do(c).want(t, http.StatusCreated)
			if c.path == rotate.path {
				first = w.do(c) // the one above was the first
			}
			again := w.do(c).want(t, http.StatusCreated)
			if diff := cmp.Diff(first.json, again.json); diff != "" || again.str("client_secret") == "" {
				t.Errorf("%s: the repetition differs:\n%s", c.path, diff)
			}
			for _, header := range []string{"Location", "ETag"} {
				if first.Header.Get(header) != again.Header.Get(header) {
					t.Errorf("%s: %s is %q, then %q", c.path, header, first.Header.Get(header), again.Header.Get(header))
				}
			}
			if again.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%s: the repetition does not say so", c.path)
			}
			w.clock.advance(10 * time.Minute)
			late := w.do(c).want(t, http.StatusCreated)
			if _, shown := late.json["client_secret"]; shown || late.str("hint") != first.str("hint") || late.str("client_id") != first.str("client_id") {
				t.Errorf("%s: after 10 minutes the answer is %s", c.path, late.text)
			}
			if err := w.store.IdempotencyKeys().Prune(t.Context(), w.clock.Now()); err != nil {
				t.Fatal(err)
			}
			w.do(c).want(t, http.StatusCreated)
		}
		if n := len(w.get("/clients").items()); n != 1 {
			t.Errorf("%d clients, want 1", n)
		}
		if n := len(w.get("/clients/" + id + "/secrets").items()); n != 2 {
			t.Errorf("%d secrets, want 2", n)
		}
		w.clock.advance(24 * time.Hour)
		if err := w.store.IdempotencyKeys().Prune(t.Context(), w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if fresh := w.do(register).want(t, http.StatusCreated); fresh.str("client_id") == id {
			t.Error("the answer was kept for more than 24 hours")
		}
	})
}

func TestOneKeySentTwentyTimesAtOnceIsOneClient(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		answers := make([]*reply, 20)
		for i := range answers {
			wg.Go(func() {
				answers[i] = w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("same")})
			})
		}
		wg.Wait()
		ids := map[string]bool{}
		for _, answer := range answers {
			switch answer.StatusCode {
			case http.StatusCreated:
				ids[answer.str("client_id")] = true
			case http.StatusConflict:
			default:
				t.Errorf("status %d\n%s", answer.StatusCode, answer.text)
			}
		}
		if n := len(w.get("/clients").items()); n != 1 || len(ids) != 1 {
			t.Errorf("%d clients, %d ids answered, want 1", n, len(ids))
		}
	})
}

func TestAKeyBelongsToOneRequestOfOneActor(t *testing.T) {
	w := newWorld(t)
	w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("k")}).want(t, http.StatusCreated)
	w.do(call{method: "POST", path: "/clients", body: `{"client_name":"cd"}`, header: withOnce("k")}).want(t, http.StatusUnprocessableEntity)
	id, _ := w.client(`{"client_name":"x"}`)
	w.do(call{method: "POST", path: "/clients/" + id + "/secrets", header: withOnce("k")}).want(t, http.StatusUnprocessableEntity)

	other := w.withKey(&audit.AdminKey{Name: "bob", Role: audit.RoleClients})
	other["Idempotency-Key"] = "k"
	mine := w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: other}).want(t, http.StatusCreated)
	if mine.Header.Get("Idempotency-Replayed") != "" {
		t.Error("one actor gets another one's answer, secret included")
	}
}

func TestARefusedRequestLeavesItsKeyFree(t *testing.T) {
	w := newWorld(t)
	w.do(call{method: "POST", path: "/clients", body: `{"client_name":""}`, header: withOnce("k")}).want(t, http.StatusBadRequest)
	w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("k")}).want(t, http.StatusCreated)
	for _, bad := range []string{strings.Repeat("x", 256), "a b", "ü"} {
		w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce(bad)}).want(t, http.StatusBadRequest)
	}
}

func TestTheKeyIsTakenWhileTheFirstRequestRuns(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		register := call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("k")}
		newSecret := w.server.NewSecret
		w.server.NewSecret = func() string { panic("the process dies here") }
		w.mount()
		func() {
			defer func() { _ = recover() }()
			w.do(register)
		}()
		w.server.NewSecret = newSecret
		w.mount()
		w.do(register).want(t, http.StatusConflict)
		w.do(call{method: "POST", path: "/clients", body: `{"client_name":"cd"}`, header: withOnce("k")}).want(t, http.StatusUnprocessableEntity)
		if n := len(w.get("/clients").items()); n != 0 {
			t.Errorf("%d clients of a request that died", n)
		}
		w.clock.advance(time.Minute) // then it counts as abandoned
		w.do(register).want(t, http.StatusCreated)
	})
}

// A repetition reaches a replica that has another system secret already, or not yet.
func TestAnAnswerIsReplayedWithAPreviousKey(t *testing.T) {
	w := newWorld(t)
	register := call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("k")}
	made := w.do(register).want(t, http.StatusCreated)
	w.server.ReplayKey, w.server.PreviousReplayKeys = bytes.Repeat([]byte("n"), 32), [][]byte{bytes.Repeat([]byte("x"), 32), w.server.ReplayKey}
	w.mount()
	if again := w.do(register).want(t, http.StatusCreated); again.str("client_secret") != made.str("client_secret") {
		t.Errorf("the repetition is answered %s", again.text)
	}
	w.server.PreviousReplayKeys = nil
	w.mount()
	if again := w.do(register).want(t, http.StatusCreated); again.str("client_secret") != "" || again.str("client_id") != made.str("client_id") {
		t.Errorf("without the key the repetition is answered %s", again.text)
	}
}

func TestWithoutAReplayKeyNoSecretIsKept(t *testing.T) {
	w := newWorld(t)
	w.server.ReplayKey = nil
	w.mount()
	register := call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: withOnce("k")}
	w.do(register).want(t, http.StatusCreated)
	if again := w.do(register).want(t, http.StatusCreated); again.str("client_secret") != "" {
		t.Error("a secret was kept")
	}
}
