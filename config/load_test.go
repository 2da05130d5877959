package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load writes the file (none when empty) and loads it with the variables.
func load(t *testing.T, file string, environ ...string) (Config, error) {
	t.Helper()
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "fosite-mcp.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(path, environ)
}

func mustLoad(t *testing.T, file string, environ ...string) Config {
	t.Helper()
	c, err := load(t, file, environ...)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// mistakes lists the joined errors, each as "key: message".
func mistakes(err error) []string {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	var messages []string
	for _, one := range joined.Unwrap() {
		messages = append(messages, one.Error())
	}
	return messages
}

func TestNothingConfiguredGivesTheDocumentedServer(t *testing.T) {
	want := Default()
	want.PublicURL = "http://127.0.0.1:8080"
	want.Issuer = "http://127.0.0.1:8080"
	want.Database = Database{URL: "sqlite:fosite-mcp-data/fosite-mcp.db", MaxConnections: 6}
	want.Resources = map[string]Resource{
		"http://127.0.0.1:8080/authed/mcp": {Name: "MCP server", Scopes: []string{"mcp:search"}},
	}
	want.DefaultResource = "http://127.0.0.1:8080/authed/mcp"
	want.Shutdown.Drain = 0
	got := mustLoad(t, "")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Tokens.AccessLifespan != 1209600*time.Second {
		t.Errorf("access tokens live %s, want 14 days", got.Tokens.AccessLifespan)
	}
	if got.Endpoint("token") != "http://127.0.0.1:8080/authed/mcp/oauth/token" {
		t.Errorf("token endpoint: %s", got.Endpoint("token"))
	}
}

func TestSettingsFollowFromOthers(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    func(Config) string
		value   string
	}{
		{"public_url from the port of listen", []string{"FOSITE_MCP_LISTEN=127.0.0.1:9000"}, func(c Config) string { return c.PublicURL }, "http://127.0.0.1:9000"},
		{"public_url without the default port", []string{"FOSITE_MCP_LISTEN=127.0.0.1:80"}, func(c Config) string { return c.PublicURL }, "http://127.0.0.1"},
		{"public_url on IPv6 loopback", []string{"FOSITE_MCP_LISTEN=[::1]:9000"}, func(c Config) string { return c.PublicURL }, "http://[::1]:9000"},
		{"public_url of a container", []string{"FOSITE_MCP_LISTEN=0.0.0.0:8080", "FOSITE_MCP_BEHIND_PROXY=true"}, func(c Config) string { return c.PublicURL }, "http://127.0.0.1:8080"},
		{"public_url with TLS", []string{"FOSITE_MCP_TLS_CERT_FILE=c.pem", "FOSITE_MCP_TLS_KEY_FILE=k.pem"}, func(c Config) string { return c.PublicURL }, "https://127.0.0.1:8080"},
		{"issuer from public_url", []string{"FOSITE_MCP_PUBLIC_URL=https://docs.example.com"}, func(c Config) string { return c.Issuer }, "https://docs.example.com"},
		{"issuer of its own", []string{"FOSITE_MCP_PUBLIC_URL=https://docs.example.com", "FOSITE_MCP_ISSUER=https://docs.example.com/tenant"}, func(c Config) string { return c.Issuer }, "https://docs.example.com/tenant"},
		{"database in data_dir", []string{"FOSITE_MCP_DATA_DIR=/data"}, func(c Config) string { return c.Database.URL.Reveal() }, "sqlite:/data/fosite-mcp.db"},
		{"connections to SQLite", nil, func(c Config) string { return strconv.Itoa(c.Database.MaxConnections) }, "6"},
		{"connections to PostgreSQL", []string{"FOSITE_MCP_DATABASE_URL=postgres://app@db/app"}, func(c Config) string { return strconv.Itoa(c.Database.MaxConnections) }, "16"},
		{"connections as configured", []string{"FOSITE_MCP_DATABASE_MAX_CONNECTIONS=3"}, func(c Config) string { return strconv.Itoa(c.Database.MaxConnections) }, "3"},
		{"no drain where nobody stands in front", nil, func(c Config) string { return c.Shutdown.Drain.String() }, "0s"},
		{"a drain behind a proxy", []string{"FOSITE_MCP_BEHIND_PROXY=true"}, func(c Config) string { return c.Shutdown.Drain.String() }, "5s"},
		{"no drain behind a proxy either", []string{"FOSITE_MCP_BEHIND_PROXY=true", "FOSITE_MCP_SHUTDOWN_DRAIN=0s"}, func(c Config) string { return c.Shutdown.Drain.String() }, "0s"},
		{"a drain as configured", []string{"FOSITE_MCP_SHUTDOWN_DRAIN=20s"}, func(c Config) string { return c.Shutdown.Drain.String() }, "20s"},
		{"the only resource is the default", []string{`FOSITE_MCP_RESOURCES={"https://a.example/mcp":{"scopes":["mcp:search"]}}`}, func(c Config) string { return c.DefaultResource }, "https://a.example/mcp"},
		{"a port that is not known yet leaves public_url open", []string{"FOSITE_MCP_LISTEN=127.0.0.1:0"}, func(c Config) string { return c.PublicURL + c.Issuer + c.DefaultResource }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.want(mustLoad(t, "", tt.environ...)); got != tt.value {
				t.Errorf("got %q, want %q", got, tt.value)
			}
		})
	}
}

func TestResolveCompletesTheConfigurationOnceThePortIsKnown(t *testing.T) {
	c := mustLoad(t, "", "FOSITE_MCP_LISTEN=127.0.0.1:0")
	c.Listen = "127.0.0.1:41234"
	c, err := c.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != "http://127.0.0.1:41234" || c.DefaultResource != "http://127.0.0.1:41234/authed/mcp" {
		t.Errorf("issuer %q, default resource %q", c.Issuer, c.DefaultResource)
	}
	again, err := c.Resolve()
	if diff := cmp.Diff(c, again); diff != "" || err != nil {
		t.Errorf("resolving twice changed something: %v\n%s", err, diff)
	}
}

const everyKind = `
public_url: https://docs.example.com
listen: 127.0.0.1:9000
behind_proxy: true
admin:
  listen: 127.0.0.1:9001
  key: k7Q2vX9mPz4LdW8sJc3Yb6Hf
tokens:
  access_lifespan: 24h
  refresh_grace: 0
rate_limits:
  client_per_hour: 0
login:
  methods: []
scopes:
  mcp:search: {description: Search, tools: [search]}
  mcp:write: {tools: [edit]}
resources:
  https://docs.example.com/authed/mcp: {name: Docs, scopes: ["mcp:search", "mcp:write"]}
system_secret: nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa
system_secrets_previous: [fedcba9876543210fedcba9876543210]
`

func TestTheFileSetsEveryKindOfValue(t *testing.T) {
	want := Default()
	want.PublicURL, want.Issuer = "https://docs.example.com", "https://docs.example.com"
	want.Listen, want.BehindProxy = "127.0.0.1:9000", true
	want.Admin = Admin{Listen: "127.0.0.1:9001", Key: "k7Q2vX9mPz4LdW8sJc3Yb6Hf", Console: true}
	want.Database = Database{URL: "sqlite:fosite-mcp-data/fosite-mcp.db", MaxConnections: 6}
	want.Tokens.AccessLifespan, want.Tokens.RefreshGrace = 24*time.Hour, 0
	want.Login.Methods = []string{}
	want.Scopes = map[string]Scope{
		"mcp:search": {Description: "Search", Tools: []string{"search"}},
		"mcp:write":  {Tools: []string{"edit"}},
	}
	want.Resources = map[string]Resource{
		"https://docs.example.com/authed/mcp": {Name: "Docs", Scopes: []string{"mcp:search", "mcp:write"}},
	}
	want.DefaultResource = "https://docs.example.com/authed/mcp"
	want.SystemSecret = "nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa"
	want.Shutdown.Drain = 5 * time.Second // as behind_proxy is on
	want.SystemSecretsPrevious = []Secret{"fedcba9876543210fedcba9876543210"}
	if diff := cmp.Diff(want, mustLoad(t, everyKind)); diff != "" {
		t.Error(diff)
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	c := mustLoad(t, everyKind,
		"FOSITE_MCP_LISTEN=127.0.0.1:7000",
		"FOSITE_MCP_TOKENS_ACCESS_LIFESPAN=1h",
		"FOSITE_MCP_BEHIND_PROXY=false",
		`FOSITE_MCP_LOGIN_METHODS=["local"]`,
		`FOSITE_MCP_SCOPES={"mcp:search":{"tools":["search"]}}`,
		`FOSITE_MCP_RESOURCES={"https://docs.example.com/authed/mcp":{"scopes":["mcp:search"]}}`,
	)
	if c.Listen != "127.0.0.1:7000" || c.Tokens.AccessLifespan != time.Hour || c.BehindProxy ||
		!slices.Equal(c.Login.Methods, []string{"local"}) {
		t.Errorf("the file won: %+v", c)
	}
	if _, kept := c.Scopes["mcp:write"]; kept {
		t.Error("a scope of the file survived although the environment sets scopes: maps are replaced, not merged")
	}
	if c.Admin.Listen != "127.0.0.1:9001" {
		t.Error("a setting that the environment does not name was lost")
	}
}

func TestFilesThatSaySoInMoreThanOneWay(t *testing.T) {
	tests := map[string]string{
		"empty file":            " \n",
		"only comments":         "# nothing yet\n",
		"null document":         "~\n",
		"group without members": "admin:\n  # listen: 127.0.0.1:9001\n",
	}
	for name, file := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(mustLoad(t, ""), mustLoad(t, file)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if c := mustLoad(t, "admin.listen: 127.0.0.1:9001\n"); c.Admin.Listen != "127.0.0.1:9001" {
		t.Error("a name with dots is not understood")
	}
}

func TestMistakesInTheFile(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"unknown setting", "listn: 127.0.0.1:1\n", "listn: is not a setting; did you mean listen?"},
		{"unknown setting in a group", "admin:\n  listn: 127.0.0.1:1\n", "admin.listn: is not a setting; did you mean admin.listen?"},
		{"nothing near", "zzzzzzzzzzzzzzzz: 1\n", "zzzzzzzzzzzzzzzz: is not a setting; docs/configuration.md lists every setting"},
		{"group given a value", "admin: 127.0.0.1:1\n", "admin: is a group; write its settings as `name: value` lines below it"},
		{"group with a number as name", "admin:\n  1: x\n", "admin: holds names that are not text; write its settings as `name: value` lines below it"},
		{"dots and group together", "admin.listen: 127.0.0.1:1\nadmin:\n  listen: 127.0.0.1:2\n", "admin.listen: is given twice in the file, once with dots and once in a group; keep one"},
		{"empty value", "issuer:\n", "issuer: is empty; give it a value or leave it out"},
		{"empty text", "issuer: \"\"\n", "issuer: is empty; give it a value or leave it out"},
		{"number where text belongs", "system_secret: 12345678901234567890\n", "system_secret: must be text; put the value in quotes"},
		{"date where text belongs", "data_dir: 2026-01-01\n", "data_dir: must be text; put the value in quotes"},
		{"duration without unit", "tokens: {access_lifespan: 60}\n", "tokens.access_lifespan: must be a duration with a unit, such as 336h or 90s"},
		{"duration in days", "tokens: {access_lifespan: 14d}\n", "tokens.access_lifespan: must be a duration with a unit, such as 336h or 90s; h is the longest unit"},
		{"neither true nor false", "behind_proxy: yes please\n", "behind_proxy: must be true or false"},
		{"fraction of a request", "rate_limits: {client_per_hour: 1.5}\n", "rate_limits.client_per_hour: must be a whole number"},
		{"text where a list belongs", "login: {methods: local}\n", "login.methods: must be a list"},
		{"number in a list", "login: {methods: [1]}\n", "login.methods[0]: must be text; put the value in quotes"},
		{"list where a map belongs", "scopes: [mcp:search]\n", "scopes: must be a map of names"},
		{"unknown member of a scope", "scopes: {mcp:search: {tool: [search]}}\n", "scopes.mcp:search.tool: is not a setting; did you mean tools?"},
		{"two documents", "listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", "--config: the file holds more than one document; keep one and remove the --- lines"},
		{"a list as the document", "- listen\n", "--config: the file must hold settings as `name: value` lines"},
		{"a secret as the document", "mcp_cs_something_secret\n", "--config: the file must hold settings as `name: value` lines"},
		{"a secret that YAML takes for an alias", "admin:\n  key: *hunter2hunter2hunter2\n", "--config: yaml: unknown anchor (value) referenced"},
		{"the same setting twice", "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", "--config: yaml: unmarshal errors:\n  line 2: mapping key \"listen\" already defined at line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file)
			if !slices.Contains(mistakes(err), tt.want) {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "missing.yaml"), nil)
	if err == nil || !strings.Contains(err.Error(), "missing.yaml: no such file or directory") {
		t.Errorf("missing file: %v", err)
	}
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	_, err := load(t, "listn: x\nbase_path: oauth/\ntokens: {access_lifespan: forever}\n",
		"FOSITE_MCP_ISSUR=https://a.example", "FOSITE_MCP_LOG_LEVEL=loud", "FOSITE_MCP_PUBLIC_URL=http://docs.example.com")
	var keys []string
	for _, message := range mistakes(err) {
		key, _, _ := strings.Cut(message, ": ")
		keys = append(keys, key)
	}
	slices.Sort(keys)
	want := []string{"FOSITE_MCP_ISSUR", "base_path", "listn", "log.level", "public_url", "tokens.access_lifespan"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	var keyErr *KeyError
	if !errors.As(err, &keyErr) {
		t.Error("mistakes are not KeyErrors")
	}
}
