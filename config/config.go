package config

import (
	"cmp"
	"log/slog"
	"time"
)

// Config is the complete configuration. Its zero value is not usable: start from [Default] or [Load].
type Config struct {
	PublicURL      string   // origin under which clients reach the server; empty only while the port of Listen is 0
	Issuer         string   // RFC 8414 issuer identifier, immutable once the server has started with it
	BasePath       string   // path prefix of the OAuth endpoints
	Listen         string   // host:port of the public listener
	BehindProxy    bool     // a reverse proxy ends TLS in front of the listeners
	ClientIPHeader string   // header in which that proxy names the client's address; empty: addresses are the proxy's
	AllowedHosts   []string // host names under which the server answers, besides its own
	TLS            TLS
	Admin          Admin
	Database       Database
	DataDir        string // holds the SQLite file and the generated keys
	SystemSecret   Secret // signing keys are derived from it; empty: the server generates and keeps one in DataDir
	// SystemSecretsPrevious still verify tokens after SystemSecret was replaced.
	SystemSecretsPrevious []Secret
	Tokens                Tokens
	Scopes                map[string]Scope    // by scope name
	Resources             map[string]Resource // by RFC 8707 resource identifier
	DefaultResource       string              // audience of requests that name no resource
	Login                 Login
	Registration          Registration
	RateLimits            RateLimits
	Audit                 Audit
	Shutdown              Shutdown
	Tracing               Tracing
	Log                   Log
}

// TLS names the certificate of the listeners. Both files or neither.
type TLS struct {
	CertFile string
	KeyFile  string
}

// Admin is the listener of the admin API.
type Admin struct {
	Listen string
	Key    Secret // first admin key; empty: the server generates one
	// Console offers the admin console, pages beside the admin API.
	Console bool
	// ConsoleGroups are groups of login.oidc whose people may use the console, each with a role: GROUP=ROLE. The first one counts
	// that somebody is in.
	ConsoleGroups []string
	ConsoleURL    string // origin under which browsers reach the console
	// InsecureAllowHTTP lets the admin API, and with it admin keys, leave this machine without TLS.
	InsecureAllowHTTP bool
}

// Database says where the data lives.
type Database struct {
	URL            DatabaseURL
	MaxConnections int // of this server
}

// Tokens holds lifespans and formats.
type Tokens struct {
	AccessLifespan  time.Duration
	RefreshLifespan time.Duration // of one refresh token, counted from its issue
	// RefreshAbsoluteLifespan is counted from the login: rotation never extends a grant beyond it.
	RefreshAbsoluteLifespan time.Duration
	RefreshGrace            time.Duration // a rotated refresh token still works inside its family for this long
	CodeLifespan            time.Duration
	// ClientCredentialsRefresh also issues refresh tokens to machines, which RFC 6749 §4.4.3 advises against.
	ClientCredentialsRefresh bool
	Format                   string        // FormatOpaque or FormatJWT; a resource may have another one
	SigningAlgorithm         string        // of the keys that sign JWTs
	KeyLifespan              time.Duration // how long a key signs; 0: until it is replaced by hand
	AssertionAudience        string        // AudienceIssuer or AudienceAny; empty: what the database was started with
}

// The values of Tokens.AssertionAudience.
const (
	AudienceIssuer = "issuer"
	AudienceAny    = "any"
)

// The values of Tokens.Format and Resource.TokenFormat.
const (
	FormatOpaque = "opaque"
	FormatJWT    = "jwt"
)

// Scope is one scope that tokens may carry.
type Scope struct {
	Description string   `yaml:"description,omitempty" json:"description,omitempty"` // shown on the consent page
	Tools       []string `yaml:"tools" json:"tools"`                                 // MCP tools that the scope allows
	Includes    []string `yaml:"includes,omitempty" json:"includes,omitempty"`       // other scopes that a token with this one has as well
}

// Resource is one protected resource that tokens may be for.
type Resource struct {
	Name   string   `yaml:"name,omitempty" json:"name,omitempty"` // shown to people
	Scopes []string `yaml:"scopes" json:"scopes"`                 // scopes that the resource understands
	// TokenFormat is FormatOpaque or FormatJWT; empty: that of Tokens.
	TokenFormat string `yaml:"token_format,omitempty" json:"token_format,omitempty"`
}

// Login says how people prove who they are.
type Login struct {
	Methods []string // any of LoginLocal, LoginOIDC, LoginHeader; none: only machines get tokens
	OIDC    LoginOIDCProvider
	Header  LoginTrustedHeader
	// GroupsMaxAge is how long the groups of people who came by OIDC or Header count after they were looked up.
	GroupsMaxAge time.Duration
}

// The values of Login.Methods.
const (
	LoginLocal  = "local"
	LoginOIDC   = "oidc"
	LoginHeader = "header"
)

// LoginOIDCProvider is the upstream OpenID Connect provider.
type LoginOIDCProvider struct {
	Issuer       string
	ClientID     string
	ClientSecret Secret
	Scopes       []string
	GroupsClaim  string // ID token claim that lists the person's groups
}

// LoginTrustedHeader takes the person's name from a request header that an authenticating proxy sets.
type LoginTrustedHeader struct {
	Name    string   // header with the user name
	Groups  string   // header with comma-separated groups; empty: people have no groups
	Proxies []string // CIDRs of the proxies that are believed; everyone else's headers are ignored
}

// Registration says whether clients may register themselves (RFC 7591), and with what.
type Registration struct {
	Enabled            bool
	InitialAccessToken Secret        // bearer token that a registration needs; empty: anybody may
	RedirectHosts      []string      // hosts of https redirect URIs; "*": any
	RedirectSchemes    []string      // schemes of applications
	AddressPerHour     int           // registrations of one address; 0: no limit
	MaxUnused          int           // clients that wait for their first use
	UnusedLifespan     time.Duration // how long they may wait
	MetadataDocuments  bool          // clients may be known by their metadata documents
	DocumentHosts      []string      // hosts of these documents; "*": any
	DeniedHosts        []string      // hosts whose documents are refused even so
	// InsecureAllowPrivateAddresses fetches what clients name from addresses outside of the public internet too.
	InsecureAllowPrivateAddresses bool
}

// RateLimits bound how often callers may ask. Zero means no limit.
type RateLimits struct {
	ClientPerHour            int // requests of one authenticated client
	AddressPerHour           int // requests of one address
	ClientFailuresPerMinute  int // failed authentications as one client
	AddressFailuresPerMinute int // failed authentications of one address
}

// Audit says what the audit log holds.
type Audit struct {
	IssuedTokens bool          // also an event for each token that is issued; costs throughput
	Retention    time.Duration // how long events are kept; 0: forever
}

// Shutdown says how the server ends.
type Shutdown struct {
	// Drain is how long the server goes on serving after a SIGTERM, while /readyz says that it leaves.
	Drain time.Duration
}

// Tracing says where traces of requests are sent, and of which.
type Tracing struct {
	Endpoint     string  // of an OTLP collector; empty: nowhere
	SampleRatio  float64 // of requests that belong to no trace yet
	MaxPerSecond int     // requests that are traced
}

// Log says how much is logged, and how.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // text or json
	// Requests has each request logged at the level info.
	Requests bool
}

// Endpoint returns the public URL of one OAuth endpoint, for example "token".
func (c Config) Endpoint(name string) string {
	return c.PublicURL + c.BasePath + "/" + name
}

// WantsJWT reports whether tokens for a resource are JWTs.
func (c Config) WantsJWT(resource string) bool {
	return cmp.Or(c.Resources[resource].TokenFormat, c.Tokens.Format) == FormatJWT
}

// IssuesJWT reports whether tokens for any resource are JWTs.
func (c Config) IssuesJWT() bool {
	for resource := range c.Resources {
		if c.WantsJWT(resource) {
			return true
		}
	}
	return false
}

// Enabled reports whether certificate files are configured.
func (t TLS) Enabled() bool { return t.CertFile != "" && t.KeyFile != "" }

// AdminTLS reports whether the admin listener speaks TLS: on loopback it stays on plain HTTP, so that the shell
// commands reach it whatever name the certificate carries.
func (c Config) AdminTLS() bool { return c.TLS.Enabled() && !isLoopbackListen(c.Admin.Listen) }

// SlogLevel is the level for log/slog. A level that validation refuses counts as info.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}
