package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLoad: whatever the file and one variable hold, Load answers with a configuration or with mistakes that name their
// setting, and a configuration that it accepts is complete and survives printing.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(everyKind), "FOSITE_MCP_LISTEN", "127.0.0.1:0")
	f.Add([]byte(""), "FOSITE_MCP_SCOPES", `{"a":{"tools":["x"]}}`)
	f.Add([]byte("scopes: {1: {tools: []}, ~: {}}"), "FOSITE_MCP_RESOURCES", "null")
	f.Add([]byte("a: &a [*a]"), "FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS", "[1e400]")
	f.Add([]byte("<<: {listen: 127.0.0.1:1}"), "FOSITE_MCP_TOKENS_ACCESS_LIFESPAN", "-1ns")
	f.Add([]byte("tokens.access_lifespan: 1h\ntokens: ~"), "FOSITE_MCP_RATE_LIMITS_CLIENT_PER_HOUR", "0x1p-2")
	f.Add([]byte("resources: {'https://a.example/mcp': {scopes: [mcp:search]}}"), "FOSITE_MCP_ISSUER", "https://[::1]/x")
	f.Add([]byte("? [a]\n: b"), "FOSITE_MCP_PUBLIC_URL", "https://a.example\x00")
	f.Fuzz(func(t *testing.T, file []byte, variable, value string) {
		if strings.HasSuffix(variable, "_FILE") && !strings.HasPrefix(variable, variablePrefix+"TLS_") {
			return // would read files of this machine
		}
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, []string{variable + "=" + value})
		if err != nil {
			for _, message := range mistakes(err) {
				if key, text, _ := strings.Cut(message, ": "); key == "" || text == "" {
					t.Errorf("a mistake without key or text: %q", message)
				}
			}
			return
		}
		again, err := c.Resolve()
		if diff := cmp.Diff(c, again); err != nil || diff != "" {
			t.Fatalf("an accepted configuration does not resolve to itself: %v\n%s", err, diff)
		}
		var text bytes.Buffer
		if err := c.Print(&text); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), mask) {
			return // printed secrets are refused on purpose
		}
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		reloaded, err := Load(path, nil)
		if diff := cmp.Diff(c, reloaded); err != nil || diff != "" {
			t.Fatalf("printed configuration does not load as itself: %v\n%s\n%s", err, diff, text.String())
		}
	})
}

// FuzzResolveVariable: a variable is found exactly when a setting has that name.
func FuzzResolveVariable(f *testing.F) {
	for _, k := range Keys() {
		f.Add(k.Variable())
		f.Add(k.Variable() + "_FILE")
	}
	f.Add("FOSITE_MCP_")
	f.Add("FOSITE_MCP_ADMIN__LISTEN")
	f.Fuzz(func(t *testing.T, name string) {
		key, fromFile, found := resolveVariable(name)
		switch {
		case found && fromFile && (name != key.FileVariable() || !key.Secret()):
			t.Errorf("%q resolves to the file of %s", name, key.Name)
		case found && !fromFile && name != key.Variable():
			t.Errorf("%q resolves to %s", name, key.Name)
		}
		var p problems
		values := readEnviron([]string{name + "=x"}, &p)
		if found != (len(values)+len(p) > 0 && !isUnknown(p)) && name != "" && !strings.Contains(name, "=") && !foreign(name, "x") {
			t.Errorf("%q: found %v, values %v, problems %v", name, found, values, p)
		}
	})
}

func isUnknown(p problems) bool {
	return len(p) == 1 && strings.Contains(p[0].Error(), "is not a variable")
}
