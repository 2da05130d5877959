package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMistakesInTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, empty, large := write("key", "k7Q2vX9mPz4LdW8sJc3Yb6Hf\n"), write("empty", "\n"), write("large", strings.Repeat("x", maxFileSize+1))
	tests := []struct {
		name    string
		environ []string
		want    string
	}{
		{"unknown variable", []string{"FOSITE_MCP_ADMIN_LISTN=x"}, "FOSITE_MCP_ADMIN_LISTN: is not a variable of this server; did you mean FOSITE_MCP_ADMIN_LISTEN?"},
		{"group of settings", []string{"FOSITE_MCP_TOKENS={}"}, "FOSITE_MCP_TOKENS: is not a variable of this server; docs/configuration.md lists every setting"},
		{"no file form for what is no secret", []string{"FOSITE_MCP_LISTEN_FILE=x"}, "FOSITE_MCP_LISTEN_FILE: is not a variable of this server; did you mean FOSITE_MCP_LISTEN?"},
		{"a port as it is called elsewhere", []string{"FOSITE_MCP_PORT=9000"}, "FOSITE_MCP_PORT: is not a variable of this server; docs/configuration.md lists every setting"},
		{"empty", []string{"FOSITE_MCP_DATABASE_URL="}, "FOSITE_MCP_DATABASE_URL: is empty; give it a value or remove the variable"},
		{"both forms", []string{"FOSITE_MCP_ADMIN_KEY=k7Q2vX9mPz4LdW8sJc3Yb6Hf", "FOSITE_MCP_ADMIN_KEY_FILE=" + key}, "FOSITE_MCP_ADMIN_KEY: is set together with FOSITE_MCP_ADMIN_KEY_FILE; keep one of them"},
		{"file that does not exist", []string{"FOSITE_MCP_ADMIN_KEY_FILE=" + dir + "/none"}, "FOSITE_MCP_ADMIN_KEY_FILE: cannot read the file that it names: no such file or directory"},
		{"folder", []string{"FOSITE_MCP_ADMIN_KEY_FILE=" + dir}, "FOSITE_MCP_ADMIN_KEY_FILE: cannot read the file that it names: is a directory"},
		{"empty file", []string{"FOSITE_MCP_ADMIN_KEY_FILE=" + empty}, "FOSITE_MCP_ADMIN_KEY_FILE: the file that it names is empty"},
		{"endless file", []string{"FOSITE_MCP_ADMIN_KEY_FILE=" + large}, "FOSITE_MCP_ADMIN_KEY_FILE: cannot read the file that it names: it is larger than 1 MiB"},
		{"list that is not JSON", []string{"FOSITE_MCP_LOGIN_METHODS=local,oidc"}, "FOSITE_MCP_LOGIN_METHODS: must be one JSON value, a list or a map as docs/configuration.md shows"},
		{"two JSON values", []string{`FOSITE_MCP_LOGIN_METHODS=["local"] ["oidc"]`}, "FOSITE_MCP_LOGIN_METHODS: must be one JSON value, a list or a map as docs/configuration.md shows"},
		{"map where a list belongs", []string{`FOSITE_MCP_LOGIN_METHODS={"local":true}`}, "login.methods: must be a list"},
		{"unknown member", []string{`FOSITE_MCP_SCOPES={"mcp:search":{"tols":[]}}`}, "scopes.mcp:search.tols: is not a setting; did you mean tools?"},
		{"neither true nor false", []string{"FOSITE_MCP_BEHIND_PROXY=1"}, "behind_proxy: must be true or false"},
		{"not a number", []string{"FOSITE_MCP_RATE_LIMITS_CLIENT_PER_HOUR=many"}, "rate_limits.client_per_hour: must be a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, "", tt.environ...)
			if got := mistakes(err); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("got:\n%v\nwant only:\n%s", err, tt.want)
			}
		})
	}
}

// The file that held system_secret is what people have at hand when they replace it.
func TestTheFileOfPreviousSecretsMayHoldOneAsItIs(t *testing.T) {
	for content, want := range map[string][]Secret{
		"nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa\n":                 {"nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa"},
		"{\"nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa\" ":             {"{\"nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa\" "},
		"two\nlines of nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa\r\n": {"two\nlines of nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa"},
		"[\n \"nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa\",\n \"0123456789abcdef0123456789abcdef\"]\n": {
			"nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa", "0123456789abcdef0123456789abcdef"},
	} {
		path := filepath.Join(t.TempDir(), "previous")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load(t, "", "FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS_FILE="+path, "FOSITE_MCP_SYSTEM_SECRET=k7Q2vX9mPz4LdW8snV7xQe2pZr9Lk4Tb")
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if !slices.Equal(c.SystemSecretsPrevious, want) {
			t.Errorf("%q is read as %d secrets", content, len(c.SystemSecretsPrevious))
		}
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	dir := t.TempDir()
	var environ []string
	for variable, content := range map[string]string{
		"FOSITE_MCP_ADMIN_KEY_FILE":               "k7Q2vX9mPz4LdW8sJc3Yb6Hf\n",
		"FOSITE_MCP_SYSTEM_SECRET_FILE":           " spaces around Qe2pZr9Lk4Tb8WmYc3Js6H belong to it \r\n",
		"FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS_FILE": `["fedcba9876543210fedcba9876543210"]` + "\n",
		"FOSITE_MCP_DATABASE_URL_FILE":            "postgres://u:p@db.example/fosite\n",
	} {
		path := filepath.Join(dir, variable)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, variable+"="+path)
	}
	c := mustLoad(t, "", environ...)
	if c.Admin.Key != "k7Q2vX9mPz4LdW8sJc3Yb6Hf" || c.SystemSecret != " spaces around Qe2pZr9Lk4Tb8WmYc3Js6H belong to it " ||
		c.SystemSecretsPrevious[0] != "fedcba9876543210fedcba9876543210" || c.Database.URL != "postgres://u:p@db.example/fosite" {
		t.Errorf("%q %q %q %q", c.Admin.Key.Reveal(), c.SystemSecret.Reveal(), c.SystemSecretsPrevious[0].Reveal(), c.Database.URL.Reveal())
	}
}

func TestVariablesOfOthersAreNotSettings(t *testing.T) {
	environ := []string{
		"PATH=/bin", "fosite_mcp_listen=x", "FOSITE_MCP", "=x", "",
		"FOSITE_MCP_TEST_POSTGRES=postgres://127.0.0.1/x",
		// What Kubernetes adds for services named fosite-mcp and fosite-mcp-admin.
		"FOSITE_MCP_SERVICE_HOST=10.0.0.1", "FOSITE_MCP_SERVICE_PORT=8080", "FOSITE_MCP_SERVICE_PORT_HTTP=8080",
		"FOSITE_MCP_PORT=tcp://10.0.0.1:8080", "FOSITE_MCP_PORT_8080_TCP=tcp://10.0.0.1:8080", "FOSITE_MCP_PORT_8080_TCP_PROTO=tcp",
		"FOSITE_MCP_PORT_8080_TCP_PORT=8080", "FOSITE_MCP_PORT_8080_TCP_ADDR=10.0.0.1",
		"FOSITE_MCP_ADMIN_SERVICE_HOST=10.0.0.2", "FOSITE_MCP_ADMIN_PORT=tcp://10.0.0.2:8081", "FOSITE_MCP_ADMIN_PORT_8081_TCP=tcp://10.0.0.2:8081",
	}
	mustLoad(t, "", environ...)
}

func TestTheLastValueOfARepeatedVariableCounts(t *testing.T) {
	if c := mustLoad(t, "", "FOSITE_MCP_DATA_DIR=/a", "FOSITE_MCP_DATA_DIR=/b"); c.DataDir != "/b" {
		t.Errorf("data_dir is %s", c.DataDir)
	}
}

func TestEveryVariableNamesOneSetting(t *testing.T) {
	seen := make(map[string]string)
	for _, k := range Keys() {
		for _, variable := range []string{k.Variable(), k.FileVariable()} {
			if variable == "" {
				continue
			}
			if other, taken := seen[variable]; taken {
				t.Errorf("%s means both %s and %s", variable, other, k.Name)
			}
			seen[variable] = k.Name
			if foreign(variable, "x") {
				t.Errorf("%s would be taken for somebody else's variable", variable)
			}
		}
		if isGroup(k.Name) {
			t.Errorf("%s is a setting and a group", k.Name)
		}
	}
	secrets := []string{"FOSITE_MCP_ADMIN_KEY_FILE", "FOSITE_MCP_DATABASE_URL_FILE", "FOSITE_MCP_SYSTEM_SECRET_FILE",
		"FOSITE_MCP_SYSTEM_SECRETS_PREVIOUS_FILE", "FOSITE_MCP_LOGIN_OIDC_CLIENT_SECRET_FILE"}
	for _, variable := range secrets {
		if seen[variable] == "" {
			t.Errorf("%s is missing", variable)
		}
	}
}
