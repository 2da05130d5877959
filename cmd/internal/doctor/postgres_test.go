package doctor

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/storage"
)

// onPostgres is a site on PostgreSQL, with a role of its own that the test gives rights.
func onPostgres(t *testing.T) (s *site, role, schema string) {
	t.Helper()
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		t.Skip("FOSITE_MCP_TEST_POSTGRES is not set")
	}
	s = newSite(t)
	schema, role = "doctor_"+strings.ToLower(rand.Text()), "doctor_"+strings.ToLower(rand.Text())
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("search_path", schema)
	address.RawQuery = query.Encode()
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL(address.String()), MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.db, s.store = db, storage.New(db)
	s.execute("CREATE SCHEMA " + schema)
	s.execute("CREATE ROLE " + role + " LOGIN PASSWORD 'geheim'")
	t.Cleanup(func() {
		s.execute("DROP SCHEMA " + schema + " CASCADE")
		s.execute("DROP OWNED BY " + role)
		s.execute("DROP ROLE " + role)
		_ = pool.Close()
	})
	s.execute("GRANT USAGE ON SCHEMA " + schema + " TO " + role)
	if err := s.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.addKey("first", "admin", time.Time{})
	address.User = url.UserPassword(role, "geheim")
	s.set("DATABASE_URL", address.String())
	return s, role, schema
}

func TestRoleAndConnectionsOfPostgresAreChecked(t *testing.T) {
	s, role, schema := onPostgres(t)
	wants := func(when string, want map[string]string) {
		t.Helper()
		got := map[string]Finding{}
		for _, finding := range s.examine() {
			got[finding.Check] = finding
			if strings.Contains(finding.Found+finding.Remedy, "geheim") {
				t.Errorf("the password in %+v", finding)
			}
		}
		for check, said := range want {
			status, words, _ := strings.Cut(said, " ")
			if f := got[check]; string(f.Status) != status || !strings.Contains(f.Found+" "+f.Remedy, words) {
				t.Errorf("%s: %+v, want %s", when, f, said)
			}
		}
	}
	wants("without rights", map[string]string{"database": "ok PostgreSQL", "role": "problem INSERT on access_tokens"})
	s.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema + " TO " + role)
	s.execute("REVOKE DELETE ON audit_events FROM " + role)
	wants("without one right", map[string]string{"schema": "ok", "role": "problem the role of database.url lacks DELETE on audit_events"})
	s.execute("GRANT DELETE ON audit_events TO " + role)
	wants("as documented", map[string]string{
		"role": "ok the owner of the tables runs fosite-mcp migrate up", "connections": "ok up to 16", "disk": "ok MB", "clock": "ok agree",
		"issuer": "ok", "admin_keys": "ok 1 admin",
	})
	s.execute("ALTER ROLE " + role + " CONNECTION LIMIT 3")
	wants("with few connections", map[string]string{"connections": "warning PostgreSQL allows 3"})
	s.execute("DELETE FROM fosite_mcp_migrations WHERE version_id = 1008")
	wants("before a migration", map[string]string{"schema": "problem run fosite-mcp migrate up as the role that owns the tables"})
}
