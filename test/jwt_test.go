package test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Published libraries verify JWT access tokens by the JWKS alone, while the keys rotate under load.
func TestJWTsOfPublishedVerifiers(t *testing.T) {
	t.Parallel()
	needClients(t)
	for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			s := startSite(t, "FOSITE_MCP_TOKENS_FORMAT=jwt", "FOSITE_MCP_TOKENS_SIGNING_ALGORITHM="+algorithm)
			environment := []string{"ALGORITHM=" + algorithm}
			if algorithm == "ES256" {
				publishedLongAgo(t, s.server)
				rotate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.run("", "key", "rotate") }))
				defer rotate.Close()
				environment = append(environment, "ROTATE_URL="+rotate.URL)
			}
			s.runNode(t, "jwt.test.mjs", environment...)
		})
	}
}

// publishedLongAgo makes the next key one that verifiers have known for long: a test does not wait for them.
func publishedLongAgo(t *testing.T, s *server) {
	t.Helper()
	db, err := sql.Open("sqlite", databaseFile(t, s)+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	done, err := db.Exec(`UPDATE key_sets SET revision = revision + 1, keys = json_set(keys, '$[0].published_at', '2026-01-01T00:00:00Z')`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := done.RowsAffected(); n != 1 {
		t.Fatalf("%d sets of keys, want one (%v)", n, err)
	}
}
