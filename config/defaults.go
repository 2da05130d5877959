package config

import (
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// defaultResourcePath follows public_url in the identifier of the resource that exists without configuration.
const defaultResourcePath = "/authed/mcp"

// Connections of one server. Each of SQLite's has a cache of half a megabyte and answers in microseconds, so a few are plenty.
// PostgreSQL allows 100 in all unless told otherwise, which several replicas share.
const (
	sqliteConnections   = 6
	postgresConnections = 16
)

// drainBehindProxy is enough for a proxy that asks /readyz every second or two, and for Kubernetes to take an address out.
const drainBehindProxy = 5 * time.Second

// undecided stands for a duration that nobody has set and whose zero means something.
const undecided time.Duration = -1

// Default returns the configuration that holds without a file and without variables. Settings that follow from others
// (public_url, issuer, database.url, resources, default_resource) are left empty until [Config.Resolve], so that a
// caller may change what they follow from.
func Default() Config {
	return Config{
		BasePath: "/authed/mcp/oauth",
		Listen:   "127.0.0.1:8080",
		Admin:    Admin{Listen: "127.0.0.1:8081", Console: true},
		DataDir:  "./fosite-mcp-data",
		Tokens: Tokens{
			AccessLifespan:          336 * time.Hour,
			RefreshLifespan:         90 * 24 * time.Hour,
			RefreshAbsoluteLifespan: 365 * 24 * time.Hour,
			RefreshGrace:            time.Minute,
			CodeLifespan:            2 * time.Minute,
			Format:                  FormatOpaque,
			SigningAlgorithm:        "ES256",
			KeyLifespan:             90 * 24 * time.Hour,
		},
		Scopes: map[string]Scope{
			"mcp:search": {Description: "Search the documentation and read its pages", Tools: []string{"search", "get_page"}},
		},
		Login: Login{
			Methods:      []string{LoginLocal},
			OIDC:         LoginOIDCProvider{Scopes: []string{"openid", "profile"}, GroupsClaim: "groups"},
			GroupsMaxAge: 336 * time.Hour,
		},
		Registration: Registration{
			RedirectHosts:   []string{"claude.ai", "claude.com", "chatgpt.com", "vscode.dev", "insiders.vscode.dev"},
			RedirectSchemes: []string{"claude", "cursor", "goose", "jetbrains", "raycast", "vscode", "vscode-insiders", "warp", "windsurf", "zed"},
			AddressPerHour:  60,
			MaxUnused:       10_000,
			UnusedLifespan:  30 * 24 * time.Hour,

			MetadataDocuments: true,
			DocumentHosts:     []string{"*"},
		},
		RateLimits: RateLimits{ClientFailuresPerMinute: 20, AddressFailuresPerMinute: 20},
		Audit:      Audit{Retention: 365 * 24 * time.Hour},
		Shutdown:   Shutdown{Drain: undecided},
		Tracing:    Tracing{SampleRatio: 1, MaxPerSecond: 100},
		Log:        Log{Level: "info", Format: "text", Requests: true},
	}
}

// Resolve fills in every setting that follows from others and checks the whole. It may be called again on its own
// result: a server that listens on port 0 puts the real address into Listen, resolves again, and has its public_url.
// The error joins every mistake as a [*KeyError].
func (c Config) Resolve() (Config, error) {
	return c.resolved(nil)
}

// resolved is Resolve, with the mistakes that were found before.
func (c Config) resolved(p problems) (Config, error) {
	c = c.derived()
	c.validate(&p)
	if err := p.join(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (c Config) derived() Config {
	if c.PublicURL == "" {
		c.PublicURL = c.localURL()
	}
	if c.Issuer == "" {
		c.Issuer = c.PublicURL
	}
	if c.Database.URL == "" {
		c.Database.URL = DatabaseURL("sqlite:" + filepath.Join(c.DataDir, "fosite-mcp.db"))
	}
	if c.Database.MaxConnections == 0 {
		c.Database.MaxConnections = postgresConnections
		if !c.Database.URL.IsPostgres() {
			c.Database.MaxConnections = sqliteConnections
		}
	}
	if c.Shutdown.Drain == undecided {
		c.Shutdown.Drain = 0
		if c.BehindProxy {
			c.Shutdown.Drain = drainBehindProxy
		}
	}
	if len(c.Resources) == 0 && c.PublicURL != "" {
		c.Resources = map[string]Resource{
			c.PublicURL + defaultResourcePath: {Name: "MCP server", Scopes: slices.Sorted(maps.Keys(c.Scopes))},
		}
	}
	if c.DefaultResource == "" && len(c.Resources) == 1 {
		for id := range c.Resources {
			c.DefaultResource = id
		}
	}
	return c
}

// localURL is where a client on this machine reaches the public listener; empty while its port is not known.
func (c Config) localURL() string {
	host, port, problem := splitListen(c.Listen)
	if problem != "" || port == 0 {
		return ""
	}
	if host != "::1" {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c.TLS.Enabled() {
		scheme = "https"
	}
	return withoutDefaultPort(scheme, net.JoinHostPort(host, strconv.Itoa(port)))
}
