package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// variablePrefix begins the name of every environment variable of the server.
const variablePrefix = "FOSITE_MCP_"

// Key is one setting.
type Key struct {
	Name string // as in the file, groups separated by dots: "admin.listen"
	Doc  string // one sentence of Markdown

	follows string            // where the default comes from, when Default leaves the field empty
	field   func(*Config) any // pointer to the field
}

// Keys lists every setting in the order in which people read them.
func Keys() []Key {
	return append(serverKeys(), policyKeys()...)
}

func serverKeys() []Key {
	return []Key{
		{"public_url", "Origin under which clients reach the server, without a trailing slash.", "`http://127.0.0.1:` and the port of `listen` (`https` with `tls`)", func(c *Config) any { return &c.PublicURL }},
		{"issuer", "Issuer identifier (RFC 8414). Stored on first start; it cannot be changed afterwards.", "`public_url`", func(c *Config) any { return &c.Issuer }},
		{"base_path", "Path prefix of the OAuth endpoints.", "", func(c *Config) any { return &c.BasePath }},
		{"listen", "Address of the public listener. Port 0 picks a free one.", "", func(c *Config) any { return &c.Listen }},
		{"behind_proxy", "A reverse proxy ends TLS in front of this server, so plain HTTP may leave loopback.", "", func(c *Config) any { return &c.BehindProxy }},
		{"client_ip_header", "Header in which the proxy names the client's address: `X-Forwarded-For`, `Forwarded` (RFC 7239) or one with a single address. Of several the last counts. Needs `behind_proxy`, and a proxy that sets the header itself.", "none: addresses are the proxy's", func(c *Config) any { return &c.ClientIPHeader }},
		{"allowed_hosts", "More host names under which both listeners answer, such as the name of a container. Always allowed: the hosts of `public_url`, `issuer`, `resources` and the listen addresses, `localhost`, and IP addresses.", "none", func(c *Config) any { return &c.AllowedHosts }},
		{"tls.cert_file", "PEM certificate chain of the public listener, and of the admin listener where that is not on loopback.", "none", func(c *Config) any { return &c.TLS.CertFile }},
		{"tls.key_file", "PEM private key that belongs to `tls.cert_file`.", "none", func(c *Config) any { return &c.TLS.KeyFile }},
		{"admin.listen", "Address of the admin listener.", "", func(c *Config) any { return &c.Admin.Listen }},
		{"admin.key", "Admin key, at least 16 random characters. Another one is added, see the operations guide.", "generated on first start into `data_dir`", func(c *Config) any { return &c.Admin.Key }},
		{"admin.console", "Offer the admin console at `/console/` of the admin listener.", "", func(c *Config) any { return &c.Admin.Console }},
		{"admin.console_groups", "Groups of `login.oidc` whose people may use the console, each with a role: `GROUP=ROLE`, such as `platform=admin`. The first one counts that somebody is in. Register the redirect URI `/console/login/callback` of `admin.console_url` at the provider.", "none: admin keys alone", func(c *Config) any { return &c.Admin.ConsoleGroups }},
		{"admin.console_url", "Origin under which browsers reach the console; `admin.console_groups` needs it.", "none", func(c *Config) any { return &c.Admin.ConsoleURL }},
		{"admin.insecure_allow_http", "Let the admin listener send admin keys and client secrets over plain HTTP beyond this machine. Only for a network that nobody else can read.", "", func(c *Config) any { return &c.Admin.InsecureAllowHTTP }},
		{"database.url", "`sqlite:PATH` (PATH as it is written, without percent-encoding; `sqlite:///srv/data.db` is `sqlite:/srv/data.db`) or `postgres://USER:PASSWORD@HOST/NAME`, with several hosts where a standby may take over: `HOST1,HOST2`.", "`sqlite:` and `fosite-mcp.db` in `data_dir`", func(c *Config) any { return &c.Database.URL }},
		{"database.max_connections", "Connections that this server opens at most, 1 to 1000, or 0 for the default. Requests wait in line for one, also where the database server allows fewer.", "`16` on PostgreSQL, `6` on SQLite", func(c *Config) any { return &c.Database.MaxConnections }},
		{"data_dir", "Folder of the SQLite file and of the generated keys.", "", func(c *Config) any { return &c.DataDir }},
		{"system_secret", "At least 32 bytes from which the signing keys are derived. Replicas share one.", "generated on first start into `data_dir`", func(c *Config) any { return &c.SystemSecret }},
		{"system_secrets_previous", "Other secrets whose tokens count: earlier values of `system_secret`, and the next one while replicas learn of it. A file may hold one secret as it is.", "none", func(c *Config) any { return &c.SystemSecretsPrevious }},
		{"audit.issued_tokens", "Also write an audit event for each token that is issued, with client, secret, subject, scope and audience, which costs throughput.", "", func(c *Config) any { return &c.Audit.IssuedTokens }},
		{"audit.retention", "How long audit events are kept, 168h at least; `0s` keeps them forever.", "", func(c *Config) any { return &c.Audit.Retention }},
		{"shutdown.drain", "How long the server goes on serving after a `SIGTERM`, while `/readyz` answers 503 so that proxies and load balancers turn to other replicas; 0s to 10m.", "`5s` with `behind_proxy`, `0s` without", func(c *Config) any { return &c.Shutdown.Drain }},
		{"tracing.endpoint", "URL of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`, where requests are sent to as traces; without a path `/v1/traces`. Headers and certificates come from the standard variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_CERTIFICATE`).", "none: nothing is traced", func(c *Config) any { return &c.Tracing.Endpoint }},
		{"tracing.sample_ratio", "Share of the requests without a trace that are traced, 0 to 1. One whose caller traces it is traced, too, and one whose caller does not is not.", "", func(c *Config) any { return &c.Tracing.SampleRatio }},
		{"tracing.max_per_second", "Requests that are traced in a second at most, whatever callers say. With a `tracing.sample_ratio`, callers can have half of them traced.", "", func(c *Config) any { return &c.Tracing.MaxPerSecond }},
		{"log.level", "`debug`, `info`, `warn` or `error`.", "", func(c *Config) any { return &c.Log.Level }},
		{"log.format", "`text` or `json`.", "", func(c *Config) any { return &c.Log.Format }},
		{"log.requests", "Log each request at the level `info`; `false`: those that the server failed, and all at the level `debug`.", "", func(c *Config) any { return &c.Log.Requests }},
	}
}

func policyKeys() []Key {
	return []Key{
		{"tokens.access_lifespan", "Life of an access token, 1s to 8760h.", "", func(c *Config) any { return &c.Tokens.AccessLifespan }},
		{"tokens.refresh_lifespan", "Life of one refresh token; each rotation begins a new one.", "", func(c *Config) any { return &c.Tokens.RefreshLifespan }},
		{"tokens.refresh_absolute_lifespan", "Life of a grant from its login on, however often its refresh token rotates. Up to 43800h.", "", func(c *Config) any { return &c.Tokens.RefreshAbsoluteLifespan }},
		{"tokens.refresh_grace", "How long a rotated refresh token still works for its own client, a few times, until its successor is used; up to 5m. 0s turns it off.", "", func(c *Config) any { return &c.Tokens.RefreshGrace }},
		{"tokens.code_lifespan", "Life of an authorization code, 10s to 10m.", "", func(c *Config) any { return &c.Tokens.CodeLifespan }},
		{"tokens.client_credentials_refresh", "Issue refresh tokens to machines as well.", "", func(c *Config) any { return &c.Tokens.ClientCredentialsRefresh }},
		{"tokens.format", "Format of access tokens: `opaque`, or `jwt` (RFC 9068) for gateways that verify tokens. A gateway learns nothing of a revocation; introspection does at once. Tokens of both formats go on working after a change.", "", func(c *Config) any { return &c.Tokens.Format }},
		{"tokens.signing_algorithm", "How JWTs are signed: `ES256`, `RS256` or `EdDSA`. After a change the old key signs until verifiers know the new one.", "", func(c *Config) any { return &c.Tokens.SigningAlgorithm }},
		{"tokens.key_lifespan", "How long a key signs JWTs before the next one takes its place, 1h to 43800h; `0s`: until `fosite-mcp key rotate`.", "", func(c *Config) any { return &c.Tokens.KeyLifespan }},
		{"tokens.assertion_audience", "What `aud` of a client assertion (`private_key_jwt`) may be: `issuer`, the issuer alone; `any`, also the issuer with a slash, or the token URL. See [why](decisions/0009-audience-of-client-assertions.md).", "`issuer`; `any` for a database that an earlier version has started", func(c *Config) any { return &c.Tokens.AssertionAudience }},
		{"scopes", "Scope name → `description` (shown on the consent page), `tools` (MCP tools it allows) and `includes` (other scopes that a token with it has as well).", "", func(c *Config) any { return &c.Scopes }},
		{"resources", "Resource identifier (RFC 8707, the URL of an MCP server) → `name`, `scopes` and `token_format` (`opaque` or `jwt`, in place of `tokens.format`). A token for several resources is a JWT if one of them wants that.", "`public_url` and `/authed/mcp`, with every scope", func(c *Config) any { return &c.Resources }},
		{"default_resource", "Resource of requests that name none.", "the only resource; must be given when there are several", func(c *Config) any { return &c.DefaultResource }},
		{"login.methods", "How people log in: any of `local`, `oidc`, `header`; `[]` leaves only machines.", "", func(c *Config) any { return &c.Login.Methods }},
		{"login.groups_max_age", "How long the groups of people who come by `oidc` or `header` count, 1s to 43800h. Their tokens end with them, and they log in again. Groups of local accounts count as they are.", "", func(c *Config) any { return &c.Login.GroupsMaxAge }},
		{"login.oidc.issuer", "Issuer of the upstream OpenID Connect provider.", "none", func(c *Config) any { return &c.Login.OIDC.Issuer }},
		{"login.oidc.client_id", "Client id of this server at that provider.", "none", func(c *Config) any { return &c.Login.OIDC.ClientID }},
		{"login.oidc.client_secret", "Client secret of this server at that provider.", "none", func(c *Config) any { return &c.Login.OIDC.ClientSecret }},
		{"login.oidc.scopes", "Scopes asked of that provider, `openid` among them.", "", func(c *Config) any { return &c.Login.OIDC.Scopes }},
		{"login.oidc.groups_claim", "ID token claim that lists a person's groups.", "", func(c *Config) any { return &c.Login.OIDC.GroupsClaim }},
		{"login.header.name", "Request header in which an authenticating proxy sends the user name.", "none", func(c *Config) any { return &c.Login.Header.Name }},
		{"login.header.groups", "Request header with the person's groups, separated by commas.", "none", func(c *Config) any { return &c.Login.Header.Groups }},
		{"login.header.proxies", "CIDRs of the proxies whose headers are believed.", "none", func(c *Config) any { return &c.Login.Header.Proxies }},
		{"registration.enabled", "Let clients register themselves (RFC 7591), for people who log in. Machines are registered by an administrator.", "", func(c *Config) any { return &c.Registration.Enabled }},
		{"registration.initial_access_token", "Bearer token that a registration needs, at least 16 random characters. Without it anybody may register a client.", "none", func(c *Config) any { return &c.Registration.InitialAccessToken }},
		{"registration.redirect_hosts", "Hosts of the `https` redirect URIs that clients may register themselves with; `*` is any. Loopback addresses are always allowed. Of clients that describe themselves, those at a host named here hear of errors before the person has answered.", "", func(c *Config) any { return &c.Registration.RedirectHosts }},
		{"registration.redirect_schemes", "Schemes of applications that may stand in their redirect URIs.", "", func(c *Config) any { return &c.Registration.RedirectSchemes }},
		{"registration.address_per_hour", "Registrations, and metadata documents to fetch, an hour of each address; `0` means no limit.", "", func(c *Config) any { return &c.Registration.AddressPerHour }},
		{"registration.max_unused", "How many clients that registered themselves may wait for their first use, 1 to 1000000. A further one is told to come back later.", "", func(c *Config) any { return &c.Registration.MaxUnused }},
		{"registration.unused_lifespan", "A client that registered itself is deleted if it is not used within this time, 1h to 8760h.", "", func(c *Config) any { return &c.Registration.UnusedLifespan }},
		{"registration.metadata_documents", "Let in clients that nobody has registered, for people who log in: their `client_id` is the URL of a document that describes them.", "", func(c *Config) any { return &c.Registration.MetadataDocuments }},
		{"registration.document_hosts", "Hosts whose documents are read: names, `*.example.com` for every host below a name, `*` for any.", "", func(c *Config) any { return &c.Registration.DocumentHosts }},
		{"registration.denied_document_hosts", "Hosts whose documents are not read, even so.", "none", func(c *Config) any { return &c.Registration.DeniedHosts }},
		{"registration.insecure_allow_private_addresses", "Fetch what clients name (metadata documents, key sets) from private addresses too, over `https` and by the trust store of the system (`SSL_CERT_FILE`). For closed networks: whoever may name a URL reaches every service there. Named at each start.", "", func(c *Config) any { return &c.Registration.InsecureAllowPrivateAddresses }},
		{"rate_limits.client_per_hour", "Requests an hour of each client that authenticates; `0` means no limit.", "", func(c *Config) any { return &c.RateLimits.ClientPerHour }},
		{"rate_limits.address_per_hour", "Requests an hour of each address, whoever sends them; `0` means no limit.", "", func(c *Config) any { return &c.RateLimits.AddressPerHour }},
		{"rate_limits.client_failures_per_minute", "Failed authentications a minute as each client; `0` means no limit.", "", func(c *Config) any { return &c.RateLimits.ClientFailuresPerMinute }},
		{"rate_limits.address_failures_per_minute", "Failed authentications a minute of each address, at the admin API too; `0` means no limit.", "", func(c *Config) any { return &c.RateLimits.AddressFailuresPerMinute }},
	}
}

// Variable is the environment variable of the setting, for example FOSITE_MCP_ADMIN_LISTEN.
func (k Key) Variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// FileVariable is the environment variable that names a file with the setting's value; empty unless it is a secret.
func (k Key) FileVariable() string {
	if !k.Secret() {
		return ""
	}
	return k.Variable() + "_FILE"
}

// Secret reports whether the value is masked when shown.
func (k Key) Secret() bool {
	switch k.field(new(Config)).(type) {
	case *Secret, *[]Secret, *DatabaseURL:
		return true
	}
	return false
}

// Default describes the default in Markdown.
func (k Key) Default() string {
	if k.follows != "" {
		return k.follows
	}
	c := Default()
	switch v := k.field(&c).(type) {
	case *string:
		return "`" + *v + "`"
	case *time.Duration:
		return "`" + durationText(*v) + "`"
	default:
		encoded, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("default of %s: %v", k.Name, err))
		}
		return "`" + string(encoded) + "`"
	}
}

// composite reports whether the value is a list or a map, which the environment gives as JSON.
func (k Key) composite() bool {
	switch k.field(new(Config)).(type) {
	case *[]string, *[]Secret, *map[string]Scope, *map[string]Resource:
		return true
	}
	return false
}

// isGroup reports whether name is the part of a key's name before a dot, as "admin" or "login.oidc".
func isGroup(name string) bool {
	for _, k := range Keys() {
		if strings.HasPrefix(k.Name, name+".") {
			return true
		}
	}
	return false
}

// durationText writes 336h0m0s as 336h.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
