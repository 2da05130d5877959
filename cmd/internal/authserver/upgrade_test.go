package authserver

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"fosite-mcp/config"
	"fosite-mcp/storage"

	"gorm.io/gorm"
)

func openURL(t *testing.T, url string) *gorm.DB {
	t.Helper()
	return openForTest(t, config.Config{Database: config.Database{URL: config.DatabaseURL(url), MaxConnections: 2}})
}

func execute(t *testing.T, db *gorm.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// checkServes goes through what a replica does: it registers, issues, introspects, refreshes and revokes.
func (r *replica) checkServes(key string) {
	r.t.Helper()
	client := r.register(key)
	access, refresh := r.mint(client)
	active := func(token string, want bool) {
		r.t.Helper()
		if status, answer := r.post("introspect", client, "token", token); status != http.StatusOK || answer["active"] != want {
			r.t.Errorf("introspection: %d %v, want active %v", status, answer, want)
		}
	}
	active(access, true)
	second, _ := r.mint(client, "grant_type", "refresh_token", "refresh_token", refresh)
	if status, answer := r.post("revoke", client, "token", second); status != http.StatusOK {
		r.t.Errorf("revocation: %d %v", status, answer)
	}
	active(second, false)
	if status, body := r.admin(key, http.MethodDelete, "/clients/"+client.id, ""); status != http.StatusNoContent {
		r.t.Errorf("delete: %d %s", status, body)
	}
	if response, err := http.Get(r.AdminURL + "/readyz"); err != nil || response.StatusCode != http.StatusOK {
		r.t.Errorf("readyz: %v %v", response, err)
	} else {
		response.Body.Close()
	}
}

// While replicas are replaced one by one, those of the version before serve on what the next one has migrated: migrations add tables
// and columns with a default. One that starts then is refused.
func TestRunningReplicaServesOnASchemaOfTheNextVersion(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		key := rand.Text() + rand.Text()
		environ := []string{"FOSITE_MCP_ADMIN_KEY=" + key, "FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text(), "FOSITE_MCP_TOKENS_CLIENT_CREDENTIALS_REFRESH=true"}
		running := startReplica(t, url, environ...)
		running.checkServes(key) // its statements are prepared
		db := openURL(t, url)
		for _, table := range storage.Models() {
			statement := &gorm.Statement{DB: db}
			if err := statement.Parse(table); err != nil {
				t.Fatal(err)
			}
			execute(t, db, fmt.Sprintf("ALTER TABLE %s ADD COLUMN of_the_next_version TEXT NOT NULL DEFAULT 'x'", statement.Schema.Table))
		}
		execute(t, db, "INSERT INTO fosite_mcp_migrations (version_id, is_applied) VALUES (1999, TRUE)")
		running.checkServes(key)
		if _, err := tryReplica(t, url, environ...); err == nil || !strings.Contains(err.Error(), "1999") || !strings.Contains(err.Error(), "run a newer fosite-mcp") {
			t.Errorf("another one of this version: %v", err)
		}
	})
}

// documentedGrants are the statements of docs/operations.md.
func documentedGrants(t *testing.T) (statements []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "\n```sql\nCREATE ROLE ")
	block, _, found := strings.Cut("CREATE ROLE "+block, "```")
	for statement := range strings.SplitSeq(strings.TrimSpace(block), ";\n") {
		statements = append(statements, strings.TrimSuffix(statement, ";"))
	}
	if !found || len(statements) < 4 || !strings.HasPrefix(statements[1], "GRANT USAGE ON SCHEMA") {
		t.Fatalf("the document has other statements: %q", statements)
	}
	return statements
}

// The role of the server needs to change rows and nothing else, by the statements of docs/operations.md.
func TestServerRunsAsARoleThatChangesRowsAlone(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, owner string) {
		if !strings.HasPrefix(owner, "postgres") {
			t.Skip("SQLite has no roles")
		}
		db := openURL(t, owner)
		role, password := "serve_"+strings.ToLower(rand.Text()), rand.Text()
		target, err := url.Parse(owner)
		if err != nil {
			t.Fatal(err)
		}
		target.User = url.UserPassword(role, password)
		names := strings.NewReplacer("fosite_mcp_server", role, "'…'", "'"+password+"'", "SCHEMA public", "SCHEMA "+target.Query().Get("search_path"))
		environ := []string{"FOSITE_MCP_ADMIN_KEY=" + rand.Text() + rand.Text(), "FOSITE_MCP_SYSTEM_SECRET=" + rand.Text() + rand.Text(), "FOSITE_MCP_TOKENS_CLIENT_CREDENTIALS_REFRESH=true"}
		t.Cleanup(func() { execute(t, db, "DROP OWNED BY "+role, "DROP ROLE "+role) })

		grants := documentedGrants(t)
		execute(t, db, names.Replace(grants[0]), names.Replace(grants[1])) // the role, and that it may see the schema
		_, err = tryReplica(t, target.String(), environ...)
		if err == nil || !strings.Contains(err.Error(), "fosite-mcp migrate up") || strings.Contains(err.Error(), password) {
			t.Errorf("before the owner has migrated: %v", err)
		}
		if err := storage.New(db).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, grant := range grants[2:] {
			execute(t, db, names.Replace(grant))
		}
		server := startReplica(t, target.String(), environ...)
		server.checkServes(strings.TrimPrefix(environ[0], "FOSITE_MCP_ADMIN_KEY="))
		if said := server.said(); strings.Contains(said, "level=ERROR") || strings.Contains(said, "level=WARN") {
			t.Errorf("the log:\n%s", said)
		}
		if err := storage.New(openURL(t, target.String())).Maintain(t.Context(), storage.Maintenance{AuditRetention: 1}); err != nil {
			t.Errorf("housekeeping: %v", err)
		}
		if err := openURL(t, target.String()).Exec("CREATE TABLE mine (id INT)").Error; err == nil {
			t.Error("the role may make tables: the test shows nothing")
		}
		execute(t, db, "DELETE FROM fosite_mcp_migrations WHERE version_id = 1008")
		if _, err = tryReplica(t, target.String(), environ...); err == nil || !strings.Contains(err.Error(), "fosite-mcp migrate up") {
			t.Errorf("with a migration that is pending: %v", err)
		}
	})
}
