package test

import (
	"database/sql"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	_ "modernc.org/sqlite" // the driver named "sqlite", to look at a file without the server
)

// How often a server, and a server with its database, is killed in the middle of a write load.
// FOSITE_MCP_TEST_KILLS and FOSITE_MCP_TEST_POSTGRES_KILLS change it.
const (
	kills         = 8
	postgresKills = 5
)

// What was acknowledged is true after the death of the server, whatever it was doing.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t, binaries)
	w := newTraffic(t, s, s.adminKey(), nil)
	for range rounds(t, "FOSITE_MCP_TEST_KILLS", kills) {
		tokens, tenants := len(w.tokens), len(w.tenants)
		w.run()
		w.awaitPromises(t, 10+rand.IntN(150))
		s.kill()
		w.stop()
		checkIntegrity(t, s)
		s.start()
		w.verify(t, tokens, tenants)
	}
	w.verify(t, 0, 0)
	s.run("", "audit", "verify")
	t.Logf("%d acknowledged changes, %d tokens, %d clients", w.promised(), len(w.tokens), len(w.tenants))
}

// The same where the database dies as well. Its own default would lose the last commits: the server must insist on
// durable ones.
func TestNothingAcknowledgedIsLostWhenServerAndPostgresAreKilled(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := startCluster(t, "synchronous_commit=off", "wal_writer_delay=10s")
	s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+database.url)
	w := newTraffic(t, s, s.adminKey(), nil)
	reader, secret := s.register(map[string]any{"client_name": "feed reader", "introspects": []string{"http://" + s.public + "/authed/mcp"}})
	for range rounds(t, "FOSITE_MCP_TEST_POSTGRES_KILLS", postgresKills) {
		cursor, _ := s.feed(reader, secret, "now")
		tokens, tenants := len(w.tokens), len(w.tenants)
		w.run()
		w.awaitPromises(t, 10+rand.IntN(150))
		if rand.IntN(2) == 0 {
			s.kill()
			database.kill()
		} else {
			database.kill()
			s.kill()
		}
		w.stop()
		database.start()
		s.start()
		if _, reset := s.feed(reader, secret, cursor); !reset { // PostgreSQL gives ids of transactions out again
			t.Error("the feed of revocations goes on after a crash")
		}
		w.verify(t, tokens, tenants)
	}
	w.verify(t, 0, 0)
	s.run("", "audit", "verify")
	t.Logf("%d acknowledged changes, %d tokens, %d clients", w.promised(), len(w.tokens), len(w.tenants))
}

// feed reads the feed of revocations.
func (s *server) feed(id, secret, after string) (cursor string, reset bool) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.endpoints+"/revocations?after="+url.QueryEscape(after), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth(id, secret)
	status, page := send(s.t, r)
	cursor, _ = page["cursor"].(string)
	reset, _ = page["reset"].(bool)
	if status != http.StatusOK || cursor == "" {
		s.t.Fatalf("the feed of revocations: %d %v", status, page)
	}
	return cursor, reset
}

// rounds is how often to repeat, which the environment may change.
func rounds(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// checkIntegrity looks at a copy of the database file, so that the server itself has to recover the original.
func checkIntegrity(t *testing.T, s *server) {
	t.Helper()
	folder := t.TempDir()
	files, err := filepath.Glob(filepath.Join(s.data, "*.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database in %s (%v)", s.data, err)
	}
	var path string
	for _, file := range files {
		if filepath.Ext(file) == ".db" {
			path = filepath.Join(folder, filepath.Base(file))
		}
		copyFile(t, file, filepath.Join(folder, filepath.Base(file)))
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity_check: %s %v", verdict, err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}
