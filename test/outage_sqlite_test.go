package test

import (
	"database/sql"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
)

// databaseFile is the server's SQLite file.
func databaseFile(t *testing.T, s *server) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.data, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("want one database in %s, got %v (%v)", s.data, files, err)
	}
	return files[0]
}

// Another program may hold the write lock of the file, a backup for instance. Writes wait a little and then say 503;
// reads do not even notice.
func TestWhileTheFileIsLockedWritesWaitOrSay503(t *testing.T) {
	t.Parallel()
	s := startServer(t, binaries)
	seen := new(witness)
	w := newTraffic(t, s, s.adminKey(), seen.see)
	db, err := sql.Open("sqlite", databaseFile(t, s)+"?_pragma=busy_timeout(20000)&_txlock=exclusive")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock := func() *sql.Tx {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	unlock := func(tx *sql.Tx) {
		t.Helper()
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}

	w.run()
	w.awaitPromises(t, 50)
	w.stop()
	token := w.tokens[len(w.tokens)-1]
	w.settle(&token.standing, unsettled) // it may have been revoked
	alive, _ := w.issue(w.machine)
	if alive == nil {
		t.Fatal("no token")
	}

	// For a moment: the write waits, and is done as soon as the lock is gone.
	tx := lock()
	answer := make(chan exchange)
	go func() {
		_, e := w.issue(w.machine)
		answer <- e
	}()
	for range 20 {
		if e := w.introspect(alive); !right(&e) {
			t.Errorf("a read beside the lock: %v", &e)
		}
	}
	unlock(tx)
	if e := <-answer; e.status != http.StatusOK {
		t.Errorf("a write after a short lock: %v", &e)
	}

	// For too long.
	tx = lock()
	seen.mark()
	w.run()
	seen.awaitRefusals(t, 2)
	if e := w.introspect(alive); !right(&e) {
		t.Errorf("a read beside the lock: %v", &e)
	}
	unlock(tx)
	seen.mark()
	w.awaitPromises(t, 100)
	w.stop()
	seen.judge(t)
	w.verify(t, 0, 0)
}

// Where the file cannot grow, requests that need to write say 503, what was acknowledged stays, and the server goes on
// by itself once there is room.
func TestWhileTheDiskIsFullClientsSee503AndNothingIsLost(t *testing.T) {
	t.Parallel()
	s := startServer(t, binaries)
	seen, w := underTraffic(t, s)
	w.awaitPromises(t, 100)
	seen.mark()
	limitFileSize(t, s, "65536") // less than the files have already: every append fails
	seen.awaitRefusals(t, 60)
	for _, token := range w.promisedAlive() {
		if e := w.introspect(token); !right(&e) {
			t.Errorf("a read on a full disk: %v", &e)
		}
	}
	for _, address := range []string{s.public, s.admin} {
		if status, _ := send(t, readiness(t, address)); status != http.StatusServiceUnavailable {
			t.Errorf("a server that takes no writes answers /readyz with %d", status)
		}
	}
	limitFileSize(t, s, "unlimited")
	waitFor(t, "http://"+s.public+"/readyz", s.stderr)
	seen.mark()
	w.awaitPromises(t, 100)
	w.stop()
	seen.judge(t)
	w.verify(t, 0, 0)
	s.kill()
	checkIntegrity(t, s)
}

func readiness(t *testing.T, address string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// limitFileSize makes writes of the server beyond size fail, as a full disk would.
func limitFileSize(t *testing.T, s *server, size string) {
	t.Helper()
	output, err := exec.Command("prlimit", fmt.Sprintf("--pid=%d", s.command.Process.Pid), "--fsize="+size+":").CombinedOutput()
	if err != nil {
		t.Fatalf("prlimit: %v\n%s", err, output)
	}
}

// promisedAlive are the tokens that must work.
func (w *traffic) promisedAlive() (tokens []*issued) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range w.tokens {
		if token.expected() == alive {
			tokens = append(tokens, token)
		}
	}
	return tokens
}
