package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func printed(t *testing.T, c Config) string {
	t.Helper()
	var text strings.Builder
	if err := c.Print(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestPrintedConfigurationLoadsAsItself(t *testing.T) {
	c := mustLoad(t, "", `FOSITE_MCP_LOGIN_METHODS=[]`, `FOSITE_MCP_TOKENS_REFRESH_GRACE=0s`, "FOSITE_MCP_LISTEN=127.0.0.1:9000",
		`FOSITE_MCP_SCOPES={"mcp:search":{"description":"yes","tools":[]},"null":{"tools":["123"]}}`)
	if diff := cmp.Diff(c, mustLoad(t, printed(t, c))); diff != "" {
		t.Error(diff)
	}
}

func TestPrintedConfigurationIsReadable(t *testing.T) {
	text := printed(t, mustLoad(t, "", "FOSITE_MCP_ADMIN_KEY=k7Q2vX9mPz4LdW8sJc3Yb6Hf"))
	for _, want := range []string{
		"public_url: http://127.0.0.1:8080\n",
		"admin:\n  listen: 127.0.0.1:8081\n  key: REDACTED\n",
		"access_lifespan: 336h\n",
		"  refresh_grace: 1m\n",
		"scopes:\n  mcp:search:\n    description: Search the documentation and read its pages\n    tools:\n      - search\n      - get_page\n",
		"# not set: client_ip_header, allowed_hosts, tls.cert_file, tls.key_file, admin.console_groups, admin.console_url, system_secret, ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

func TestPrintedSecretsAreRefusedAsSecrets(t *testing.T) {
	c, err := secretConfig().Resolve()
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(t, printed(t, c))
	var keys []string
	for _, message := range mistakes(err) {
		if key, _, _ := strings.Cut(message, ": "); strings.Contains(message, "mask") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	want := []string{"admin.key", "database.url", "login.oidc.client_secret", "system_secret", "system_secrets_previous[0]"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
