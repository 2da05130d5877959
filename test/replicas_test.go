package test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// newPostgresDatabase makes an empty database on the server of FOSITE_MCP_TEST_POSTGRES and returns its URL.
func newPostgresDatabase(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(os.Getenv("FOSITE_MCP_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	outer := connect(t, target.String())
	name := "replicas_test_" + strings.ToLower(rand.Text())
	if _, err := outer.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := outer.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	target.Path = "/" + name
	return target.String()
}

// connect opens a connection past the servers under test.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(context.Background()) })
	return connection
}

const replicaKey = "mcp_ak_nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa"

// newReplicas prepares servers that share a database and everything that replicas must share.
func newReplicas(t *testing.T, database string, n int, environment ...string) []*server {
	t.Helper()
	shared := append([]string{
		"FOSITE_MCP_DATABASE_URL=" + database, "FOSITE_MCP_PUBLIC_URL=http://" + freeAddress(t),
		"FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text(), "FOSITE_MCP_ADMIN_KEY=" + replicaKey,
	}, environment...)
	replicas := make([]*server, n)
	for i := range replicas {
		replicas[i] = newServer(t, binaries, shared...)
	}
	return replicas
}

// startTogether starts servers at the same moment.
func startTogether(servers ...*server) {
	for _, s := range servers {
		s.launch()
	}
	for _, s := range servers {
		s.awaitReady()
	}
}

// Two replicas that start at the same moment on an empty database are one server: what one does is in force at the
// other with the next request.
func TestReplicasAreOneServer(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	replicas := newReplicas(t, newPostgresDatabase(t), 2)
	startTogether(replicas...)
	for name, pair := range map[string][2]*server{"one way": {replicas[0], replicas[1]}, "the other way": {replicas[1], replicas[0]}} {
		t.Run(name, func(t *testing.T) {
			here, there := newTraffic(t, pair[0], replicaKey, nil), newTraffic(t, pair[1], replicaKey, nil)
			register := func() *tenant {
				e := here.admin("create", http.MethodPost, "/clients", `{"client_name":"ci"}`)
				if e.status != http.StatusCreated {
					t.Fatal(&e)
				}
				return &tenant{id: e.body["client_id"].(string), secret: e.body["client_secret"].(string)}
			}
			issue := func(client *tenant) string {
				token, e := here.issue(client)
				if token == nil {
					t.Fatal(&e)
				}
				return token.token
			}
			active := func(token string) bool {
				e := there.post("introspect", there.checker, "/introspect", "token", token)
				active, ok := e.body["active"].(bool)
				if e.status != http.StatusOK || !ok {
					t.Fatal(&e)
				}
				return active
			}
			for range 20 {
				client := register()
				revoked, kept := issue(client), issue(client)
				if !active(revoked) || !active(kept) {
					t.Error("a token issued by one replica is inactive at the other")
				}
				if e := here.post("revoke", client, "/revoke", "token", revoked); e.status != http.StatusOK {
					t.Fatal(&e)
				}
				if active(revoked) || !active(kept) {
					t.Error("a token revoked at one replica is active at the other, or too much was revoked")
				}
				if e := here.admin("disable", http.MethodPost, "/clients/"+client.id+"/disable", ""); e.status/100 != 2 {
					t.Fatal(&e)
				}
				if active(kept) {
					t.Error("a token of a client that was disabled at one replica is active at the other")
				}
				if e := there.post("token", client, "/token", "grant_type", "client_credentials"); e.body["error"] != "invalid_client" { // 401, or 429 after too many
					t.Errorf("a client that was disabled at one replica gets a token from the other: %v", &e)
				}
			}
			deleted := register()
			token := issue(deleted)
			if e := here.admin("delete", http.MethodDelete, "/clients/"+deleted.id, ""); e.status != http.StatusNoContent {
				t.Fatal(&e)
			}
			if active(token) {
				t.Error("a token of a client that was deleted at one replica is active at the other")
			}
		})
	}
}

// Many replicas may start at once, and again later.
func TestManyReplicasMigrateTogether(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	replicas := newReplicas(t, newPostgresDatabase(t), 4)
	startTogether(replicas...)
	for _, s := range replicas {
		s.kill()
	}
	startTogether(replicas...)
}

// A replica with another system_secret would refuse the tokens of the others; it does not start.
func TestAReplicaWithAnotherSystemSecretIsRefused(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	s := newReplicas(t, newPostgresDatabase(t), 1)[0]
	s.start()
	own := rand.Text() + rand.Text()
	other := exec.Command(s.binary, "serve")
	other.Env = append(s.environment, "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0", "FOSITE_MCP_SYSTEM_SECRET="+own)
	output, err := other.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "All replicas need the same system_secret") {
		t.Errorf("got %v: %s", err, output)
	}
	if strings.Contains(string(output), own) {
		t.Error("the message shows the secret")
	}
}

// Of all processes that share a database one cleans up at a time; the others leave it to that one.
func TestOneReplicaCleansUpAtATime(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := newPostgresDatabase(t)
	replicas := newReplicas(t, database, 2)
	startTogether(replicas...)
	w := newTraffic(t, replicas[0], replicaKey, nil)
	for range 3 {
		if token, e := w.issue(w.machine); token == nil {
			t.Fatal(&e)
		}
	}
	for _, s := range replicas {
		s.kill()
	}

	// The rows have expired, and one of them is locked: whoever cleans up has to wait for it.
	db := connect(t, database)
	execute(t, db, "UPDATE access_tokens SET expires_at = 1")
	execute(t, db, "DELETE FROM authorize_sessions WHERE kind = 'cleanup'") // what the dead held
	execute(t, db, "BEGIN")
	execute(t, db, "SELECT 1 FROM access_tokens FOR UPDATE")
	startTogether(replicas...)
	awaitCleanUps(t, replicas, "elsewhere", 1)

	command := exec.Command(replicas[0].binary, "cleanup")
	command.Env = replicas[0].environment
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "another process") {
		t.Errorf("cleanup beside a server that cleans up: %v: %s", err, output)
	}
	execute(t, db, "COMMIT")
	awaitCleanUps(t, replicas, "done", 1)
	if n := cleanUps(t, replicas, "elsewhere"); n != 1 {
		t.Errorf("%d clean-ups were left to another process, want 1", n)
	}
	var left int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM access_tokens").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d expired tokens are left (%v)", left, err)
	}
}

func execute(t *testing.T, db *pgx.Conn, statement string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// awaitCleanUps returns once n clean-ups of the servers have had this outcome.
func awaitCleanUps(t *testing.T, servers []*server, outcome string, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); cleanUps(t, servers, outcome) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no clean-up was %s", outcome)
		}
	}
}

// cleanUps counts the clean-ups of the servers with this outcome, by their metrics.
func cleanUps(t *testing.T, servers []*server, outcome string) (total int) {
	t.Helper()
	pattern := regexp.MustCompile(fmt.Sprintf(`(?m)^fosite_mcp_cleanup_runs_total\{outcome="%s"\} (\d+)`, outcome))
	for _, s := range servers {
		response, err := http.Get("http://" + s.admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if match := pattern.FindSubmatch(metrics); match != nil {
			var n int
			if _, err := fmt.Sscan(string(match[1]), &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	return total
}
