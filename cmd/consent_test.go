package cmd

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
	"fosite-mcp/storage"
)

// runOn is the program with these arguments on the data of a server, without a terminal.
func runOn(data string, args ...string) (code int, stdout, stderr string) {
	var out, errors bytes.Buffer
	code = Main(args, []string{"FOSITE_MCP_DATA_DIR=" + data}, strings.NewReader(""), &out, &errors)
	return code, out.String(), errors.String()
}

func TestConsentsAreListedAndRevoked(t *testing.T) {
	data := t.TempDir()
	db, pool, err := database.Open(config.Database{URL: config.DatabaseURL("sqlite:" + filepath.Join(data, "fosite-mcp.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := storage.New(db)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{{"user_1", "ada", "app"}, {"user_1", "ada", "other"}, {"user_2", "bob", "app"}} {
		if err := store.Consents().Remember(context.Background(), c[0], c[1], c[2], "The \x1b[31m"+c[2], []string{"https://docs.example.com/mcp"}, []string{"mcp:search"}); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"consent list --username ada --client-id app", 0, `ada       app        The \u001b[31mapp  mcp:search  https://docs.example.com/mcp  20`, ""},
		{"consent list --subject user_2 --json", 0, `{"items":[{"subject":"user_2","username":"bob","client_id":"app",`, ""},
		{"consent list --username nobody --json", 0, `{"items":[]}`, ""},
		{"consent revoke", 2, "", "say whose"},
		{"consent revoke --username ada --client-id app", 2, "", "1 consent is forgotten, and every token that came of it stops working at once. This needs a confirmation, and there is no terminal to ask on: add --yes"},
		{"consent revoke --client-id app", 2, "", "2 consents are forgotten, and every token that came of them"},
		{"consent revoke --username nobody --yes", 1, "", "nothing like that was allowed"},
		{"consent revoke --username ada --client-id app --yes", 0, "", "revoked 1 consent and the tokens that came of it"},
		{"consent list --json", 0, `"username":"ada","client_id":"other"`, ""},
		{"consent revoke --client-id app --yes --json", 0, `{"revoked":1}`, ""},
		{"consent list --client-id app --json", 0, `{"items":[]}`, ""},
	}
	for _, step := range steps {
		code, stdout, stderr := runOn(data, strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(stdout, step.stdout) || !strings.Contains(stderr, step.stderr) {
			t.Errorf("%s: code %d, want %d\nstdout %s\nstderr %s", step.args, code, step.code, stdout, stderr)
		}
	}
}
