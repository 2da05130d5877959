package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryRule(t *testing.T) {
	const (
		hostNames = "must hold host names in lower case without scheme, port, path and wildcards, such as docs.internal; "
		noHTTP    = "serves plain HTTP beyond this machine: listen on 127.0.0.1, set tls.cert_file and tls.key_file, or set behind_proxy: true when a reverse proxy ends TLS"
		host      = "must name a host in lower case, such as docs.example.com, and a port only where it is not the default one"
		scheme    = "must begin with https://, or with http:// on loopback"
		useHTTPS  = "must use https: plain http is accepted for loopback hosts only"
		basePath  = "must begin with a slash, end without one, and hold letters, digits and . _ ~ - between single slashes"
		short     = "must be at least 32 bytes of randomness, for example from: openssl rand -base64 48"
		noAdmin   = "sends admin keys and client secrets over plain HTTP beyond this machine: listen on 127.0.0.1, set tls.cert_file and tls.key_file, " +
			"or set admin.insecure_allow_http: true where nobody else can read that network, such as that of a container whose port is published to loopback alone"
		noGroup = "admin.console_groups: must hold entries GROUP=ROLE, where ROLE is read, clients, people or admin, such as platform=admin"
		random  = "nV7xQe2pZr9Lk4Tb8WmYc3Js6Hd1GfUa"
	)
	oidc := func(c *Config) {
		c.Login.Methods = []string{LoginOIDC}
		c.Login.OIDC.Issuer, c.Login.OIDC.ClientID, c.Login.OIDC.ClientSecret = "https://id.example/", "fosite-mcp", "s"
	}
	oidcOff := func(c *Config) { c.Login.Methods, c.Login.OIDC = []string{}, LoginOIDCProvider{} }
	groups := func(entries ...string) func(*Config) {
		return func(c *Config) {
			oidc(c)
			c.Admin.ConsoleGroups, c.Admin.ConsoleURL = entries, "https://admin.example.com"
		}
	}
	header := func(c *Config) {
		c.Login.Methods = []string{LoginHeader}
		c.Login.Header = LoginTrustedHeader{Name: "X-Forwarded-User", Groups: "X-Forwarded-Groups", Proxies: []string{"10.0.0.0/24"}}
	}
	resource := func(id string) func(*Config) {
		return func(c *Config) { c.Resources = map[string]Resource{id: {Scopes: []string{"mcp:search"}}} }
	}
	tests := []struct {
		change func(*Config)
		want   string // empty: accepted
	}{
		{func(c *Config) {}, ""},

		{func(c *Config) { c.PublicURL = "https://docs.example.com" }, ""},

		{func(c *Config) { c.Registration.Enabled = true }, ""},
		{func(c *Config) { c.Registration.Enabled, c.Login.Methods = true, nil }, "registration.enabled: needs a way to log in: clients that register themselves get tokens for people alone; set login.methods, or register machines by the admin API"},
		{func(c *Config) { c.Registration.InitialAccessToken = random }, ""},
		{func(c *Config) { c.Registration.InitialAccessToken = "short" }, "registration.initial_access_token: must be at least 16 characters of randomness, for example from: openssl rand -hex 32"},
		{func(c *Config) { c.Registration.RedirectHosts = []string{"*", "app.example.com"} }, ""},
		{func(c *Config) { c.Registration.RedirectHosts = []string{"https://app.example.com"} }, `registration.redirect_hosts: must hold host names in lower case without scheme, port and path, such as app.example.com, or "*" for any; https://app.example.com is none`},
		{func(c *Config) { c.Registration.RedirectSchemes = []string{"com.example.app"} }, ""},
		{func(c *Config) { c.Registration.RedirectSchemes = []string{"cursor:"} }, `registration.redirect_schemes: must hold schemes in lower case without a colon, such as cursor; cursor: is none`},
		{func(c *Config) { c.Registration.RedirectSchemes = []string{"javascript"} }, `registration.redirect_schemes: must not hold javascript: a redirect URI must not use the scheme javascript:, which does something other than hand the answer to an application; use https`},
		{func(c *Config) { c.Registration.AddressPerHour = -1 }, "registration.address_per_hour: must not be negative; 0 means no limit"},
		{func(c *Config) { c.Registration.Enabled, c.BehindProxy = true, true }, "registration.address_per_hour: needs client_ip_header: everybody has the proxy's address without it, and would share one limit; set that, or 0 here"},
		{func(c *Config) { c.Registration.MaxUnused = 0 }, "registration.max_unused: must be between 1 and 1000000"},
		{func(c *Config) { c.Registration.UnusedLifespan = time.Minute }, "registration.unused_lifespan: must be whole seconds between 1h and 8760h"},
		{func(c *Config) { c.PublicURL = "https://docs.example.com:8443" }, ""},
		{func(c *Config) { c.PublicURL = "http://localhost:9000" }, ""},
		{func(c *Config) { c.PublicURL = "http://[::1]:9000" }, ""},
		{func(c *Config) { c.PublicURL = "https://docs.example.com/" }, "public_url: must not end with a slash"},
		{func(c *Config) { c.PublicURL = "https://docs.example.com/mcp" }, "public_url: must be an origin, such as https://docs.example.com, without path or query; base_path sets the path"},
		{func(c *Config) { c.PublicURL = "https://docs.example.com?" }, "public_url: must be an origin, such as https://docs.example.com, without path or query; base_path sets the path"},
		{func(c *Config) { c.PublicURL = "https://docs.example.com#" }, "public_url: must not have a fragment"},
		{func(c *Config) { c.PublicURL = "https://u:p@docs.example.com" }, "public_url: must not hold a user name or password"},
		{func(c *Config) { c.PublicURL = "docs.example.com" }, "public_url: " + scheme},
		{func(c *Config) { c.PublicURL = "HTTPS://docs.example.com" }, "public_url: " + scheme},
		{func(c *Config) { c.PublicURL = "https:docs.example.com" }, "public_url: " + scheme},
		{func(c *Config) { c.PublicURL = "https://docs example.com" }, "public_url: must be a URL such as https://docs.example.com"},
		{func(c *Config) { c.PublicURL = "https://döcs.example.com" }, "public_url: must be a URL such as https://docs.example.com"},
		{func(c *Config) { c.PublicURL = "https://Docs.example.com" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "https://*.example.com" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "https://docs.example.com:443" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "https://docs.example.com:" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "https://docs.example.com:65536" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "https://docs.example.com:08443" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "http://[0:0:0:0:0:0:0:1]:9000" }, "public_url: " + host},
		{func(c *Config) { c.PublicURL = "http://docs.example.com" }, "public_url: " + useHTTPS},
		{func(c *Config) { c.PublicURL = "http://127.0.0.1.example.com" }, "public_url: " + useHTTPS},

		{func(c *Config) { c.Issuer = "https://docs.example.com/a/b" }, ""},
		{func(c *Config) { c.Issuer = "http://docs.example.com" }, "issuer: " + useHTTPS},
		{func(c *Config) { c.Issuer = "https://docs.example.com/" }, "issuer: must not end with a slash: clients compare it byte by byte"},
		{func(c *Config) { c.Issuer = "https://docs.example.com?x=1" }, "issuer: must not have a query"},
		{func(c *Config) { c.Issuer = "https://docs.example.com/a//b" }, "issuer: must have a plain path: letters, digits and . _ ~ - between single slashes"},
		{func(c *Config) { c.Issuer = "https://docs.example.com/a%2Fb" }, "issuer: must have a plain path: letters, digits and . _ ~ - between single slashes"},

		{func(c *Config) { c.BasePath = "/oauth" }, ""},
		{func(c *Config) { c.BasePath = "" }, "base_path: " + basePath},
		{func(c *Config) { c.BasePath = "/" }, "base_path: " + basePath},
		{func(c *Config) { c.BasePath = "oauth" }, "base_path: " + basePath},
		{func(c *Config) { c.BasePath = "/oauth/" }, "base_path: " + basePath},
		{func(c *Config) { c.BasePath = "/a/../b" }, "base_path: " + basePath},
		{func(c *Config) { c.BasePath = "/{name}" }, "base_path: " + basePath},
		{func(c *Config) { c.BasePath = "/.well-known/x" }, "base_path: must not lie below /.well-known, which belongs to the metadata documents"},

		{func(c *Config) { c.Listen = "8080" }, "listen: must be host:port, such as 127.0.0.1:8080"},
		{func(c *Config) { c.Listen = "127.0.0.1:http" }, "listen: must be host:port, such as 127.0.0.1:8080; the port is a number from 0 to 65535"},
		{func(c *Config) { c.Listen = "127.0.0.1:65536" }, "listen: must be host:port, such as 127.0.0.1:8080; the port is a number from 0 to 65535"},
		{func(c *Config) { c.Listen = "a b:1" }, "listen: must be host:port, such as 127.0.0.1:8080"},
		{func(c *Config) { c.Admin.Listen = "nonsense" }, "admin.listen: must be host:port, such as 127.0.0.1:8080"},
		{func(c *Config) { c.Listen = "localhost:8080" }, ""},
		{func(c *Config) { c.Listen = "[::1]:8080" }, ""},
		{func(c *Config) { c.Listen, c.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0" }, ""},
		{func(c *Config) { c.Listen = ":8080" }, "listen: " + noHTTP},
		{func(c *Config) { c.Listen = "0.0.0.0:8080" }, "listen: " + noHTTP},
		{func(c *Config) { c.Listen = "docs.example.com:8080" }, "listen: " + noHTTP},
		{func(c *Config) { c.Admin.Listen = "[::]:8081" }, "admin.listen: " + noAdmin},
		{func(c *Config) { c.Admin.Listen, c.BehindProxy = "0.0.0.0:8081", true }, "admin.listen: " + noAdmin},
		{func(c *Config) { c.Admin.Listen, c.Admin.InsecureAllowHTTP = "0.0.0.0:8081", true }, ""},
		{func(c *Config) { c.Listen, c.Admin.InsecureAllowHTTP = "0.0.0.0:8080", true }, "listen: " + noHTTP},
		{func(c *Config) { c.Admin.Listen, c.TLS = "0.0.0.0:8081", TLS{"c.pem", "k.pem"} }, ""},
		{func(c *Config) { c.Listen, c.BehindProxy = "0.0.0.0:8080", true }, ""},
		{func(c *Config) { c.Listen, c.TLS = "0.0.0.0:8080", TLS{"c.pem", "k.pem"} }, ""},
		{func(c *Config) { c.TLS.CertFile = "c.pem" }, "tls.key_file: is missing; tls.cert_file needs it"},
		{func(c *Config) { c.TLS.KeyFile = "k.pem" }, "tls.cert_file: is missing; tls.key_file needs it"},
		{func(c *Config) { c.Admin.Listen = c.Listen }, "admin.listen: must differ from listen: the admin API never shares a listener with the public endpoints"},
		{func(c *Config) { c.BehindProxy, c.Listen, c.Admin.Listen = true, ":8080", "127.0.0.1:8080" }, "admin.listen: must differ from listen: the admin API never shares a listener with the public endpoints"},
		{func(c *Config) { c.Admin.Listen = "localhost:8080" }, "admin.listen: must differ from listen: the admin API never shares a listener with the public endpoints"},
		{func(c *Config) { c.Admin.Listen = "127.0.0.2:8080" }, ""},

		{func(c *Config) {
			c.AllowedHosts = []string{"server", "docs.internal", "my_host", "xn--dcs-sna.example.com"}
		}, ""},
		{func(c *Config) { c.AllowedHosts = []string{"*"} }, "allowed_hosts: " + hostNames + "* is none"},
		{func(c *Config) { c.AllowedHosts = []string{"*.example.com"} }, "allowed_hosts: " + hostNames + "*.example.com is none"},
		{func(c *Config) { c.AllowedHosts = []string{"https://docs.internal"} }, "allowed_hosts: " + hostNames + "https://docs.internal is none"},
		{func(c *Config) { c.AllowedHosts = []string{"docs.internal:8080"} }, "allowed_hosts: " + hostNames + "docs.internal:8080 is none"},
		{func(c *Config) { c.AllowedHosts = []string{"docs.internal/"} }, "allowed_hosts: " + hostNames + "docs.internal/ is none"},
		{func(c *Config) { c.AllowedHosts = []string{"Docs.internal"} }, "allowed_hosts: " + hostNames + "Docs.internal is none"},
		{func(c *Config) { c.AllowedHosts = []string{"docs.internal."} }, "allowed_hosts: " + hostNames + "docs.internal. is none"},
		{func(c *Config) { c.AllowedHosts = []string{"döcs.internal"} }, "allowed_hosts: " + hostNames + "döcs.internal is none"},
		{func(c *Config) { c.AllowedHosts = []string{"10.0.0.1"} }, "allowed_hosts: must not hold IP addresses: they are always allowed; remove 10.0.0.1"},
		{func(c *Config) { c.AllowedHosts = []string{"[::1]"} }, "allowed_hosts: must not hold IP addresses: they are always allowed; remove [::1]"},

		{func(c *Config) { c.DataDir = "" }, "data_dir: must name a folder"},
		{func(c *Config) { c.Database.MaxConnections = 1 }, ""},
		{func(c *Config) { c.Database.MaxConnections = -1 }, "database.max_connections: must be between 1 and 1000"},
		{func(c *Config) { c.Database.MaxConnections = 1001 }, "database.max_connections: must be between 1 and 1000"},
		{func(c *Config) { c.Database.URL = "postgres://u:p@db.example:5432/fosite?sslmode=verify-full" }, ""},
		{func(c *Config) { c.Database.URL = "postgresql:///fosite?host=/run/postgresql" }, ""},
		{func(c *Config) { c.Database.URL = "postgres://u:p@db1:5432,db2:5433/x?target_session_attrs=read-write" }, ""},
		{func(c *Config) { c.Database.URL = "postgres://u:p@db1:5432,db2/x?target_session_attrs=primary" }, ""},
		{func(c *Config) {
			c.Database.URL = "postgres://u:p@[::1]:5432,[::2]:5433/x?synchronous_commit=remote_apply"
		}, ""},
		{func(c *Config) { c.Database.URL = "postgres://u:p@db1:5432,db2:x/x" }, "database.url: is no valid postgres:// URL; percent-encode special characters of the password, such as / ? # and @, and write several hosts as HOST:PORT,HOST:PORT"},
		{func(c *Config) { c.Database.URL = "postgres://u:p@db1,/x" }, "database.url: is no valid postgres:// URL; percent-encode special characters of the password, such as / ? # and @, and write several hosts as HOST:PORT,HOST:PORT"},
		{func(c *Config) { c.Database.URL = "postgres://db1,db2/x?target_session_attrs=prefer-standby" }, "database.url: has a target_session_attrs other than read-write: this server has to write, and finds the one of several hosts that takes writes by itself"},
		{func(c *Config) { c.Database.URL = "postgres://db1/x?synchronous_commit=off" }, "database.url: has a synchronous_commit other than on: what was acknowledged would be lost when the database dies"},
		{func(c *Config) { c.Database.URL = "mysql://u:p@db.example/fosite" }, "database.url: must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"},
		{func(c *Config) { c.Database.URL = "sqlite:" }, "database.url: must name a file: sqlite:PATH"},
		{func(c *Config) { c.Database.URL = "sqlite::memory:" }, "database.url: must name a file: tokens and revocations have to survive a restart; write sqlite:PATH, without file:"},
		{func(c *Config) { c.Database.URL = "sqlite:a.db?_sync=0" }, "database.url: must not have options after the name of the file: those that matter are set already"},
		{func(c *Config) { c.Database.URL = "postgres://u:12/34@db.example/x" }, "database.url: is no valid postgres:// URL; percent-encode special characters of the password, such as / ? # and @, and write several hosts as HOST:PORT,HOST:PORT"},
		{func(c *Config) { c.Database.URL = "postgres://u:p#w@db.example/x" }, "database.url: is no valid postgres:// URL; percent-encode special characters of the password, such as / ? # and @, and write several hosts as HOST:PORT,HOST:PORT"},
		{func(c *Config) { c.Database.URL = "postgres://db.example/x?password=%zz" }, "database.url: has a query that cannot be read; percent-encode special characters"},
		{func(c *Config) { c.Database.URL = "postgres://u:REDACTED@db.example/x" }, "database.url: holds the mask that stands for a password in printed configuration; put the password itself there"},
		{func(c *Config) { c.Admin.Key = "short" }, "admin.key: must be at least 16 characters of randomness, for example from: openssl rand -hex 32"},
		{func(c *Config) { c.Admin.Key = "with a space in the key" }, "admin.key: must be printable ASCII without spaces, because it travels in an HTTP header"},
		{func(c *Config) { c.SystemSecret = Secret(strings.Repeat("x", 31)) }, "system_secret: " + short},
		{func(c *Config) { c.SystemSecret = random }, ""},
		{func(c *Config) {
			c.SystemSecret, c.SystemSecretsPrevious = random, []Secret{"short"}
		}, "system_secrets_previous: " + short},
		{func(c *Config) { // the way out of one that is typed
			c.SystemSecret, c.SystemSecretsPrevious = random, []Secret{Secret(strings.Repeat("x", 32))}
		}, ""},
		{func(c *Config) { c.SystemSecretsPrevious = []Secret{Secret(strings.Repeat("x", 32))} }, "system_secret: is missing; system_secrets_previous only adds to it"},

		{func(c *Config) { c.Tokens.AccessLifespan = 0 }, "tokens.access_lifespan: must be whole seconds between 1s and 8760h"},
		{func(c *Config) { c.Tokens.AccessLifespan = -time.Hour }, "tokens.access_lifespan: must be whole seconds between 1s and 8760h"},
		{func(c *Config) { c.Tokens.AccessLifespan = 1500 * time.Millisecond }, "tokens.access_lifespan: must be whole seconds between 1s and 8760h"},
		{func(c *Config) { c.Tokens.AccessLifespan = 8761 * time.Hour }, "tokens.access_lifespan: must be whole seconds between 1s and 8760h"},
		{func(c *Config) { c.Tokens.RefreshLifespan = 0 }, "tokens.refresh_lifespan: must be whole seconds between 1s and 43800h"},
		{func(c *Config) { c.Tokens.RefreshLifespan = 8761 * time.Hour }, "tokens.refresh_lifespan: must not exceed tokens.refresh_absolute_lifespan"},
		{func(c *Config) { c.Tokens.RefreshAbsoluteLifespan = 43801 * time.Hour }, "tokens.refresh_absolute_lifespan: must be whole seconds between 1s and 43800h"},
		{func(c *Config) { c.Tokens.RefreshGrace = 0 }, ""},
		{func(c *Config) { c.Login.GroupsMaxAge = 0 }, "login.groups_max_age: must be whole seconds between 1s and 43800h"},
		{func(c *Config) { c.Login.GroupsMaxAge = time.Second + 1 }, "login.groups_max_age: must be whole seconds between 1s and 43800h"},
		{func(c *Config) { c.Tokens.RefreshGrace = 6 * time.Minute }, "tokens.refresh_grace: must be whole seconds between 0s and 5m"},
		{func(c *Config) { c.Tokens.CodeLifespan = 11 * time.Minute }, "tokens.code_lifespan: must be whole seconds between 10s and 10m"},
		{func(c *Config) { c.Tokens.CodeLifespan = 9 * time.Second }, "tokens.code_lifespan: must be whole seconds between 10s and 10m"},

		{func(c *Config) { c.Scopes = nil }, "scopes: must define at least one scope"},
		{func(c *Config) { c.Scopes["two words"] = Scope{} }, "scopes.two words: is no scope name: RFC 6749 allows printable ASCII without spaces, quotes and backslashes"},
		{func(c *Config) { c.Scopes[`back\slash`] = Scope{} }, `scopes.back\slash: is no scope name: RFC 6749 allows printable ASCII without spaces, quotes and backslashes`},
		{func(c *Config) { c.Scopes[`quo"te`] = Scope{} }, `scopes.quo"te: is no scope name: RFC 6749 allows printable ASCII without spaces, quotes and backslashes`},
		{func(c *Config) { c.Scopes["a]b"] = Scope{} }, ""},
		{func(c *Config) { c.Scopes["admin"] = Scope{Includes: []string{"mcp:search"}} }, ""},
		{func(c *Config) { c.Scopes["admin"] = Scope{Includes: []string{"mcp:serach"}} }, "scopes.admin.includes: mcp:serach is not defined below scopes"},
		{func(c *Config) {
			c.Scopes["a"], c.Scopes["b"], c.Scopes["c"] = Scope{Includes: []string{"b"}}, Scope{Includes: []string{"a"}}, Scope{Includes: []string{"b"}}
		}, "scopes.a.includes: must not lead back to the scope itself"},
		{func(c *Config) { c.Scopes["docs:read"] = Scope{Tools: []string{"get page"}} }, "scopes.docs:read.tools: must hold MCP tool names: 1 to 128 letters, digits and _ . -"},
		{func(c *Config) { c.Scopes["docs:read"] = Scope{Tools: []string{strings.Repeat("a", 129)}} }, "scopes.docs:read.tools: must hold MCP tool names: 1 to 128 letters, digits and _ . -"},

		{resource("https://docs.example.com/authed/mcp"), ""},
		{resource("https://docs.example.com"), ""},
		{resource("https://docs.example.com/mcp/"), ""},
		{resource("urn:example:docs"), ""},
		{resource("https://docs.example.com/"), "resources.https://docs.example.com/: must not end with a slash when it is a bare origin"},
		{resource("https://docs.example.com/mcp#x"), "resources.https://docs.example.com/mcp#x: must not have a fragment"},
		{resource("https://u@docs.example.com/mcp"), "resources.https://u@docs.example.com/mcp: must not hold a user name or password"},
		{resource("http://docs.example.com/mcp"), "resources.http://docs.example.com/mcp: " + useHTTPS},
		{resource("/authed/mcp"), "resources./authed/mcp: " + scheme},
		{resource("https://docs.example.com/mcp/../admin"), "resources.https://docs.example.com/mcp/../admin: must not have empty, . or .. path segments: clients would change it"},
		{func(c *Config) { c.Resources = map[string]Resource{"https://a.example/mcp": {}} }, "resources.https://a.example/mcp.scopes: must list at least one scope"},
		{func(c *Config) {
			c.Resources = map[string]Resource{"https://a.example/mcp": {Scopes: []string{"mcp:write"}}}
		}, "resources.https://a.example/mcp.scopes: mcp:write is not defined below scopes"},
		{func(c *Config) {
			c.Resources = map[string]Resource{"https://a.example": {Scopes: []string{"mcp:search"}}, "https://b.example": {Scopes: []string{"mcp:search"}}}
		}, "default_resource: is missing; with several resources it must name the one that requests without a resource mean"},
		{func(c *Config) { c.DefaultResource = "https://b.example" }, "default_resource: must be one of the identifiers below resources"},

		{groups("platform=admin", "a=b=read"), ""},
		{func(c *Config) { groups("x=admin")(c); c.Admin.ConsoleURL = "" }, "admin.console_url: is missing; admin.console_groups needs it, such as https://admin.example.com"},
		{func(c *Config) { groups("x=admin")(c); c.Admin.ConsoleURL = "http://admin.example.com" }, "admin.console_url: " + useHTTPS},
		{func(c *Config) { groups("x=admin")(c); c.Admin.Console = false }, "admin.console_groups: is set, and admin.console is off; remove one of them"},
		{func(c *Config) { groups("x=admin")(c); oidcOff(c) }, "admin.console_groups: needs a provider: login.methods must list oidc"},
		{groups("admin"), noGroup}, {groups("=admin"), noGroup}, {groups("x=root"), noGroup}, {groups("x="), noGroup},
		{func(c *Config) { c.Admin.ConsoleURL = "https://admin.example.com" }, "admin.console_url: is set, and nothing uses it; set admin.console_groups or remove this setting"},

		{oidc, ""},
		{header, ""},
		{func(c *Config) { c.Login.Methods = []string{} }, ""},
		{func(c *Config) { c.Login.Methods = []string{"saml"} }, "login.methods: must list local, oidc or header"},
		{func(c *Config) { c.Login.Methods = []string{"local", "local"} }, "login.methods: must list each method once"},
		{func(c *Config) { oidc(c); c.Login.OIDC.Issuer = "" }, "login.oidc.issuer: is missing; login.methods lists oidc, which needs it"},
		{func(c *Config) { oidc(c); c.Login.OIDC.Issuer = "http://id.example" }, "login.oidc.issuer: " + useHTTPS},
		{func(c *Config) { oidc(c); c.Login.OIDC.ClientID = "" }, "login.oidc.client_id: is missing; login.methods lists oidc, which needs it"},
		{func(c *Config) { oidc(c); c.Login.OIDC.ClientSecret = "" }, "login.oidc.client_secret: is missing; login.methods lists oidc, which needs it"},
		{func(c *Config) { oidc(c); c.Login.OIDC.Scopes = []string{"profile"} }, "login.oidc.scopes: must hold openid"},
		{func(c *Config) { oidc(c); c.Login.OIDC.Scopes = []string{"openid", "a b"} }, "login.oidc.scopes: must hold scope names: printable ASCII without spaces, quotes and backslashes"},
		{func(c *Config) { oidc(c); c.Login.OIDC.GroupsClaim = "" }, "login.oidc.groups_claim: must name a claim, such as groups"},
		{func(c *Config) { c.Login.OIDC.Issuer = "https://id.example" }, "login.oidc.issuer: is set, but login.methods does not list oidc; add it there or remove this setting"},
		{func(c *Config) { c.Login.OIDC.ClientID = "x" }, "login.oidc.client_id: is set, but login.methods does not list oidc; add it there or remove this setting"},
		{func(c *Config) { c.Login.OIDC.ClientSecret = "x" }, "login.oidc.client_secret: is set, but login.methods does not list oidc; add it there or remove this setting"},
		{func(c *Config) { c.Login.Header.Name = "X-User" }, "login.header.name: is set, but login.methods does not list header; add it there or remove this setting"},
		{func(c *Config) { c.Login.Header.Groups = "X-Groups" }, "login.header.groups: is set, but login.methods does not list header; add it there or remove this setting"},
		{func(c *Config) { c.Login.Header.Proxies = []string{"10.0.0.0/24"} }, "login.header.proxies: is set, but login.methods does not list header; add it there or remove this setting"},
		{func(c *Config) { header(c); c.Login.Header.Name = "" }, "login.header.name: is missing; login.methods lists header, which needs it, such as X-Forwarded-User"},
		{func(c *Config) { header(c); c.Login.Header.Name = "X User" }, "login.header.name: must be the name of a header that only the proxy sets, such as X-Forwarded-User"},
		{func(c *Config) { header(c); c.Login.Header.Name = "authorization" }, "login.header.name: must be the name of a header that only the proxy sets, such as X-Forwarded-User"},
		{func(c *Config) { header(c); c.Login.Header.Groups = "Cookie" }, "login.header.groups: must be the name of a header that only the proxy sets, such as X-Forwarded-Groups"},
		{func(c *Config) { header(c); c.Login.Header.Groups = "x-forwarded-user" }, "login.header.groups: must differ from login.header.name"},
		{func(c *Config) { header(c); c.Login.Header.Groups = "" }, ""},
		{func(c *Config) { header(c); c.Login.Header.Proxies = nil }, "login.header.proxies: is missing; list the addresses of the proxies that may say who a person is"},
		{func(c *Config) { header(c); c.Login.Header.Proxies = []string{"10.0.0.7"} }, "login.header.proxies: must hold networks; write 10.0.0.7/32 for a single address"},
		{func(c *Config) { header(c); c.Login.Header.Proxies = []string{"proxy.internal"} }, "login.header.proxies: must hold networks in CIDR form, such as 10.0.0.0/24"},
		{func(c *Config) { header(c); c.Login.Header.Proxies = []string{"10.0.0.7/24"} }, "login.header.proxies: must hold networks, not hosts with a mask; did you mean 10.0.0.0/24?"},
		{func(c *Config) { header(c); c.Login.Header.Proxies = []string{"::/0"} }, "login.header.proxies: must not hold the network of all addresses: anybody could then log in as anyone"},

		{func(c *Config) { c.Audit.Retention = 7*24*time.Hour - 1 }, "audit.retention: must be at least 168h (7 days), or nobody could find out later what happened; 0s keeps events forever"},
		{func(c *Config) { c.Audit.Retention = -time.Hour }, "audit.retention: must be at least 168h (7 days), or nobody could find out later what happened; 0s keeps events forever"},
		{func(c *Config) { c.Audit.Retention = 7 * 24 * time.Hour }, ""},
		{func(c *Config) { c.Audit.Retention = 0 }, ""},
		{func(c *Config) { c.Tracing.Endpoint = "collector:4318" }, "tracing.endpoint: must be an http or https URL, such as http://127.0.0.1:4318"},
		{func(c *Config) { c.Tracing.Endpoint = "https://user:key@collector.example" }, "tracing.endpoint: must be a URL without user, query and fragment; credentials go into OTEL_EXPORTER_OTLP_HEADERS"},
		{func(c *Config) { c.Tracing.SampleRatio = 1.5 }, "tracing.sample_ratio: must be between 0 and 1"},
		{func(c *Config) { c.Tracing.MaxPerSecond = 0 }, "tracing.max_per_second: must be between 1 and 10000; leave out tracing.endpoint to trace nothing"},
		{func(c *Config) { c.Shutdown.Drain = -time.Second }, "shutdown.drain: must be between 0s and 10m"},
		{func(c *Config) { c.Shutdown.Drain = 10*time.Minute + 1 }, "shutdown.drain: must be between 0s and 10m"},
		{func(c *Config) { c.Shutdown.Drain = 10 * time.Minute }, ""},
		{func(c *Config) { c.Log.Level = "loud" }, "log.level: must be debug, info, warn or error"},
		{func(c *Config) { c.Log.Format = "xml" }, "log.format: must be text or json"},
		{func(c *Config) { c.RateLimits.ClientPerHour = -1 }, "rate_limits.client_per_hour: must not be negative; 0 means no limit"},
		{func(c *Config) { c.RateLimits = RateLimits{5000, 5000, 5, 5} }, ""},
		{func(c *Config) {
			c.RateLimits.AddressPerHour, c.BehindProxy, c.ClientIPHeader = 5000, true, "Forwarded"
		}, ""},
		{func(c *Config) { c.RateLimits.AddressPerHour, c.BehindProxy = 5000, true }, "rate_limits.address_per_hour: needs client_ip_header: everybody has the proxy's address without it, and would share one limit"},
		{func(c *Config) { c.RateLimits.ClientFailuresPerMinute = -1 }, "rate_limits.client_failures_per_minute: must not be negative; 0 means no limit"},
		{func(c *Config) { c.RateLimits.AddressFailuresPerMinute = -1 }, "rate_limits.address_failures_per_minute: must not be negative; 0 means no limit"},
		{func(c *Config) { c.RateLimits.AddressPerHour = -1 }, "rate_limits.address_per_hour: must not be negative; 0 means no limit"},
	}
	for _, tt := range tests {
		name := tt.want
		if name == "" {
			name = "accepted"
		}
		t.Run(name, func(t *testing.T) {
			c := Default()
			tt.change(&c)
			_, err := c.Resolve()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused:\n%v", err)
			case tt.want != "" && !slices.Contains(mistakes(err), tt.want):
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
}

func TestTheAdminListenerSpeaksTLSOnlyBeyondLoopback(t *testing.T) {
	c := Default()
	c.TLS = TLS{CertFile: "c.pem", KeyFile: "k.pem"}
	if c.AdminTLS() {
		t.Error("TLS on loopback")
	}
	c.Admin.Listen = "0.0.0.0:8081"
	if !c.AdminTLS() {
		t.Error("plain HTTP beyond loopback")
	}
}
