package bench

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"fosite-mcp/config"
)

// A run on somebody's server stays away from all that is there, and leaves nothing.
func TestARunOnAServerHasAPlaceOfItsOwn(t *testing.T) {
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		t.Skip("FOSITE_MCP_TEST_POSTGRES is not set")
	}
	pool, err := connect(config.DatabaseURL(server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	role := "bench_" + strings.ToLower(strings.TrimPrefix(t.Name(), "TestARunOn"))
	execute := func(statement string) {
		t.Helper()
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var database string
	if err := pool.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	execute(fmt.Sprintf("DROP ROLE IF EXISTS %[1]s; CREATE ROLE %[1]s LOGIN PASSWORD 'of the test'", role))
	defer func() { execute(fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role)) }()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "of the test")

	for _, c := range []struct{ name, grant, want string }{
		{"none", "SELECT", ""},
		{"schema", fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s", database, role), "SELECT count(*) FROM pg_namespace WHERE nspname = current_schema() AND nspname LIKE 'fosite_mcp_bench_%'"},
		{"database", "ALTER ROLE " + role + " CREATEDB", "SELECT count(*) FROM pg_database WHERE datname = current_database() AND datname LIKE 'fosite_mcp_bench_%'"},
	} {
		execute(c.grant)
		d, err := newOnServer(t.Context(), config.DatabaseURL(u.String()))
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), "cannot make a database or a schema") {
				t.Errorf("%s: error %v, want a refusal", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := d.open(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if n, err := d.number(t.Context(), c.want); n != 1 || err != nil {
			t.Errorf("%s: %d places, %v; want one of its own", c.name, n, err)
		}
		if err := d.close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
