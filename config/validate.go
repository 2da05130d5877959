package config

import (
	"iter"
	"maps"
	"regexp"
	"slices"
	"time"
)

// check is one rule: the message is reported under the setting's name when bad.
type check struct {
	bad     bool
	key     string
	message string
}

// found is the rule for a setting with this problem; "" is none.
func found(key, problem string) check { return check{problem != "", key, problem} }

// validate reports every rule that the configuration breaks.
func (c Config) validate(p *problems) {
	for _, rules := range [][]check{
		c.addressRules(), c.storageRules(), c.tokenRules(), c.scopeRules(), c.resourceRules(),
		c.loginRules(), c.consoleRules(), c.registrationRules(), c.operationRules(),
	} {
		for _, rule := range rules {
			if rule.bad {
				p.add(rule.key, "%s", rule.message)
			}
		}
	}
}

func (c Config) addressRules() []check {
	const exposed = "serves plain HTTP beyond this machine: listen on 127.0.0.1, set tls.cert_file and tls.key_file, or set behind_proxy: true when a reverse proxy ends TLS"
	const adminExposed = "sends admin keys and client secrets over plain HTTP beyond this machine: listen on 127.0.0.1, set tls.cert_file and tls.key_file, " +
		"or set admin.insecure_allow_http: true where nobody else can read that network, such as that of a container whose port is published to loopback alone"
	_, port, listenProblem := splitListen(c.Listen)
	_, _, adminProblem := splitListen(c.Admin.Listen)
	plain := !c.TLS.Enabled() && !c.BehindProxy
	// public_url and what follows from it stay empty until the server knows its port.
	pending := c.PublicURL == "" && (port == 0 || listenProblem != "")
	publicProblem, issuer := "", ""
	if !pending {
		publicProblem = originProblem(c.PublicURL)
	}
	if c.Issuer != "" && c.Issuer != c.PublicURL {
		issuer = issuerProblem(c.Issuer)
	}
	rules := []check{
		found("public_url", publicProblem),
		found("issuer", issuer),
		found("base_path", basePathProblem(c.BasePath)),
		found("listen", listenProblem),
		found("admin.listen", adminProblem),
		{sameSocket(c.Listen, c.Admin.Listen), "admin.listen", "must differ from listen: the admin API never shares a listener with the public endpoints"},
		{listenProblem == "" && plain && !isLoopbackListen(c.Listen), "listen", exposed},
		{adminProblem == "" && !c.TLS.Enabled() && !c.Admin.InsecureAllowHTTP && !isLoopbackListen(c.Admin.Listen), "admin.listen", adminExposed},
		{c.TLS.CertFile != "" && c.TLS.KeyFile == "", "tls.key_file", "is missing; tls.cert_file needs it"},
		{c.TLS.KeyFile != "" && c.TLS.CertFile == "", "tls.cert_file", "is missing; tls.key_file needs it"},
	}
	for _, name := range c.AllowedHosts {
		rules = append(rules, found("allowed_hosts", allowedHostProblem(name)))
	}
	return rules
}

const (
	minAdminKey     = 16
	minSystemSecret = 32
	shortSecret     = "must be at least 32 bytes of randomness, for example from: openssl rand -base64 48"
)

// AdminKeyProblem says why key cannot be an admin key; "" if it can.
func AdminKeyProblem(key string) string {
	const openssl = "for example from: openssl rand -hex 32"
	switch {
	case len(key) < minAdminKey:
		return "must be at least 16 characters of randomness, " + openssl
	case !visibleASCII.MatchString(key):
		return "must be printable ASCII without spaces, because it travels in an HTTP header"
	case randomness(key) < minSecretBits:
		return "can be guessed: it must be random, not typed, and not short, " + openssl
	}
	return ""
}

// SystemSecretProblem says why secret cannot be the system secret; "" if it can.
func SystemSecretProblem(secret string) string {
	switch {
	case len(secret) < minSystemSecret:
		return shortSecret
	case randomness(secret) < minSecretBits:
		return "can be guessed: it must be random, not typed, for example from: openssl rand -base64 48; " +
			"where tokens were made with this one, put it into system_secrets_previous"
	}
	return ""
}

func (c Config) storageRules() []check {
	adminKey, systemSecret := "", ""
	if c.Admin.Key != "" {
		adminKey = AdminKeyProblem(c.Admin.Key.Reveal())
	}
	if c.SystemSecret != "" {
		systemSecret = SystemSecretProblem(c.SystemSecret.Reveal())
	}
	rules := []check{
		{c.DataDir == "", "data_dir", "must name a folder"},
		found("database.url", c.Database.URL.problem()),
		{c.Database.MaxConnections < 1 || c.Database.MaxConnections > 1000, "database.max_connections", "must be between 1 and 1000"},
		found("admin.key", adminKey),
		found("system_secret", systemSecret),
		{len(c.SystemSecretsPrevious) > 0 && c.SystemSecret == "", "system_secret", "is missing; system_secrets_previous only adds to it"},
	}
	for _, previous := range c.SystemSecretsPrevious {
		rules = append(rules, check{len(previous) < minSystemSecret, "system_secrets_previous", shortSecret})
	}
	return rules
}

// Bounds of the lifespans. RFC 6749 §4.1.2 recommends ten minutes at most for a code.
const (
	maxAccessLifespan   = 365 * 24 * time.Hour
	maxAbsoluteLifespan = 5 * 365 * 24 * time.Hour
	maxRefreshGrace     = 5 * time.Minute
	minCodeLifespan     = 10 * time.Second
	maxCodeLifespan     = 10 * time.Minute
)

// outside tells that a lifespan is not allowed.
func outside(d, low, high time.Duration) bool {
	return d < low || d > high || d%time.Second != 0 // expires_in counts whole seconds, RFC 6749 §5.1
}

func (c Config) tokenRules() []check {
	t := c.Tokens
	return []check{
		{outside(t.AccessLifespan, time.Second, maxAccessLifespan), "tokens.access_lifespan", "must be whole seconds between 1s and 8760h"},
		{outside(t.RefreshLifespan, time.Second, maxAbsoluteLifespan), "tokens.refresh_lifespan", "must be whole seconds between 1s and 43800h"},
		{outside(t.RefreshAbsoluteLifespan, time.Second, maxAbsoluteLifespan), "tokens.refresh_absolute_lifespan", "must be whole seconds between 1s and 43800h"},
		{t.RefreshLifespan > t.RefreshAbsoluteLifespan, "tokens.refresh_lifespan", "must not exceed tokens.refresh_absolute_lifespan"},
		{outside(t.RefreshGrace, 0, maxRefreshGrace), "tokens.refresh_grace", "must be whole seconds between 0s and 5m"},
		{outside(t.CodeLifespan, minCodeLifespan, maxCodeLifespan), "tokens.code_lifespan", "must be whole seconds between 10s and 10m"},
		{t.Format != FormatOpaque && t.Format != FormatJWT, "tokens.format", "must be opaque or jwt"},
		{!slices.Contains([]string{"ES256", "RS256", "EdDSA"}, t.SigningAlgorithm), "tokens.signing_algorithm", "must be ES256, RS256 or EdDSA"},
		{t.AssertionAudience != "" && t.AssertionAudience != AudienceIssuer && t.AssertionAudience != AudienceAny, "tokens.assertion_audience", "must be issuer or any; leave it out for what the database was started with"},
		{t.KeyLifespan != 0 && outside(t.KeyLifespan, time.Hour, maxAbsoluteLifespan), "tokens.key_lifespan", "must be whole seconds between 1h and 43800h, or 0s"},
	}
}

var (
	scopeToken = regexp.MustCompile(`^[!#-\[\]-~]+$`)    // RFC 6749 §3.3
	toolName   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`) // MCP tool names
)

func (c Config) scopeRules() []check {
	rules := []check{{len(c.Scopes) == 0, "scopes", "must define at least one scope"}}
	for name, scope := range sorted(c.Scopes) {
		key := "scopes." + shown(name)
		rules = append(rules,
			check{!scopeToken.MatchString(name), key, "is no scope name: RFC 6749 allows printable ASCII without spaces, quotes and backslashes"},
			check{slices.ContainsFunc(scope.Tools, func(tool string) bool { return len(tool) > 128 || !toolName.MatchString(tool) }),
				key + ".tools", "must hold MCP tool names: 1 to 128 letters, digits and _ . -"},
			check{c.includes(scope.Includes, name), key + ".includes", "must not lead back to the scope itself"})
		for _, included := range scope.Includes {
			_, defined := c.Scopes[included]
			rules = append(rules, check{!defined, key + ".includes", shown(included) + " is not defined below scopes"})
		}
	}
	return rules
}

// includes tells whether one of scopes is name, or leads to it.
func (c Config) includes(scopes []string, name string) bool {
	all := slices.Clone(scopes)
	for i := 0; i < len(all); i++ {
		for _, scope := range c.Scopes[all[i]].Includes {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return slices.Contains(all, name)
}

func (c Config) resourceRules() []check {
	_, exists := c.Resources[c.DefaultResource]
	rules := []check{
		{c.DefaultResource == "" && len(c.Resources) > 1, "default_resource", "is missing; with several resources it must name the one that requests without a resource mean"},
		{c.DefaultResource != "" && !exists && len(c.Resources) > 0, "default_resource", "must be one of the identifiers below resources"},
	}
	for id, resource := range sorted(c.Resources) {
		key := "resources." + shown(id)
		problem := ""
		if id != c.PublicURL+defaultResourcePath { // public_url has its own rules
			problem = resourceProblem(id)
		}
		rules = append(rules,
			found(key, problem),
			check{len(resource.Scopes) == 0, key + ".scopes", "must list at least one scope"},
			check{!slices.Contains([]string{"", FormatOpaque, FormatJWT}, resource.TokenFormat), key + ".token_format", "must be opaque or jwt"})
		for _, scope := range resource.Scopes {
			_, defined := c.Scopes[scope]
			rules = append(rules, check{!defined, key + ".scopes", shown(scope) + " is not defined below scopes"})
		}
	}
	return rules
}

// sorted iterates in the order of names, so that messages come in the same order every time.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}
