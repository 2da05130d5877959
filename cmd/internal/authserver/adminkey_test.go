package authserver

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/storage"
)

// A replica that is configured with another admin key adds it. The key of the others opens every replica as before, and
// they start again with it.
func TestAnotherAdminKeyOnOneReplicaEndsNoKey(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		secret := "FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text()
		fleet, other := admin.NewKey(), admin.NewKey()
		opens := func(r *replica, key, when string) {
			t.Helper()
			if status, _ := r.admin(key, http.MethodGet, "/clients", ""); status != http.StatusOK {
				t.Errorf("%s: status %d", when, status)
			}
		}
		first := startReplica(t, url, secret, "FOSITE_MCP_ADMIN_KEY="+fleet)
		if said := first.noticed(); strings.Contains(said, "admin key") {
			t.Errorf("the first start said %q", said)
		}
		odd := startReplica(t, url, secret, "FOSITE_MCP_ADMIN_KEY="+other)
		opens(first, fleet, "the fleet's key at its replica")
		opens(first, other, "the other key at the fleet's replica")
		opens(odd, fleet, "the fleet's key at the odd replica")
		if said := odd.noticed(); !strings.Contains(said, "added the admin key from admin.key as admin-ak_") || !strings.Contains(said, "admin-key revoke") {
			t.Errorf("the odd replica said %q", said)
		}
		first.stop()
		first = startReplica(t, url, secret, "FOSITE_MCP_ADMIN_KEY="+fleet)
		opens(first, fleet, "the fleet's key after a restart")
		opens(odd, other, "the other key after a restart of the first")

		// Replicas that make their keys themselves add them, too, or say that there is one.
		generated := startReplica(t, url, secret)
		if said := generated.noticed(); !strings.Contains(said, "the admin key of this database is not in") {
			t.Errorf("a replica without a key said %q", said)
		}
		opens(generated, fleet, "the fleet's key at a replica without one")
	})
}

// A revoked key stays revoked at each start. The server starts even so: its clients and their tokens have nothing to do with it.
func TestAStartWithARevokedAdminKeySaysSo(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		environ := []string{"FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text(), "FOSITE_MCP_ADMIN_KEY=" + admin.NewKey()}
		key := strings.TrimPrefix(environ[1], "FOSITE_MCP_ADMIN_KEY=")
		startReplica(t, url, environ...).stop()
		db, pool, err := database.Open(config.Database{URL: config.DatabaseURL(url)})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if err := storage.New(db).AdminKeys().Revoke(t.Context(), "admin"); err != nil {
			t.Fatal(err)
		}
		again := startReplica(t, url, environ...)
		if status, _ := again.admin(key, http.MethodGet, "/clients", ""); status != http.StatusUnauthorized {
			t.Errorf("the revoked key is answered with %d", status)
		}
		if said := again.noticed(); !strings.Contains(said, "was revoked and opens nothing") {
			t.Errorf("the server said %q", said)
		}
	})
}
