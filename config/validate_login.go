package config

import (
	"iter"
	"maps"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (c Config) loginRules() []check {
	l := c.Login
	known := []string{LoginLocal, LoginOIDC, LoginHeader}
	rules := []check{
		{slices.ContainsFunc(l.Methods, func(m string) bool { return !slices.Contains(known, m) }), "login.methods", "must list local, oidc or header"},
		{outside(l.GroupsMaxAge, time.Second, maxAbsoluteLifespan), "login.groups_max_age", "must be whole seconds between 1s and 43800h"},
		{len(slices.Compact(slices.Sorted(slices.Values(l.Methods)))) != len(l.Methods), "login.methods", "must list each method once"},
	}
	rules = append(rules, l.OIDC.rules(slices.Contains(l.Methods, LoginOIDC))...)
	return append(rules, l.Header.rules(slices.Contains(l.Methods, LoginHeader))...)
}

func (o LoginOIDCProvider) rules(used bool) []check {
	if !used {
		const unused = "is set, but login.methods does not list oidc; add it there or remove this setting"
		return []check{
			{o.Issuer != "", "login.oidc.issuer", unused},
			{o.ClientID != "", "login.oidc.client_id", unused},
			{o.ClientSecret != "", "login.oidc.client_secret", unused},
		}
	}
	const missing = "is missing; login.methods lists oidc, which needs it"
	issuerProblem := ""
	if o.Issuer != "" {
		_, issuerProblem = webURL(o.Issuer)
	}
	return []check{
		{o.Issuer == "", "login.oidc.issuer", missing},
		{issuerProblem != "", "login.oidc.issuer", issuerProblem},
		{o.ClientID == "", "login.oidc.client_id", missing},
		{o.ClientSecret == "", "login.oidc.client_secret", missing},
		{!slices.Contains(o.Scopes, "openid"), "login.oidc.scopes", "must hold openid"},
		{slices.ContainsFunc(o.Scopes, func(s string) bool { return !scopeToken.MatchString(s) }), "login.oidc.scopes", "must hold scope names: printable ASCII without spaces, quotes and backslashes"},
		{o.GroupsClaim == "", "login.oidc.groups_claim", "must name a claim, such as groups"},
	}
}

// headerToken is a field name, RFC 9110 §5.1.
var headerToken = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// ownedHeaders have a meaning of their own, so that anybody may send them.
var ownedHeaders = []string{"Authorization", "Cookie", "Host", "Content-Type", "Content-Length", "User-Agent", "Origin", "Referer"}

func (h LoginTrustedHeader) rules(used bool) []check {
	if !used {
		const unused = "is set, but login.methods does not list header; add it there or remove this setting"
		return []check{
			{h.Name != "", "login.header.name", unused},
			{h.Groups != "", "login.header.groups", unused},
			{len(h.Proxies) > 0, "login.header.proxies", unused},
		}
	}
	unfit := func(name string) bool {
		return name != "" && (!headerToken.MatchString(name) || slices.Contains(ownedHeaders, textproto.CanonicalMIMEHeaderKey(name)))
	}
	rules := []check{
		{h.Name == "", "login.header.name", "is missing; login.methods lists header, which needs it, such as X-Forwarded-User"},
		{unfit(h.Name), "login.header.name", "must be the name of a header that only the proxy sets, such as X-Forwarded-User"},
		{unfit(h.Groups), "login.header.groups", "must be the name of a header that only the proxy sets, such as X-Forwarded-Groups"},
		{h.Name != "" && strings.EqualFold(h.Name, h.Groups), "login.header.groups", "must differ from login.header.name"},
		{len(h.Proxies) == 0, "login.header.proxies", "is missing; list the addresses of the proxies that may say who a person is"},
	}
	for _, proxy := range h.Proxies {
		problem := proxyProblem(proxy)
		rules = append(rules, check{problem != "", "login.header.proxies", problem})
	}
	return rules
}

// proxyProblem accepts a network in its usual form. Networks that hold everybody are refused: whoever reaches the server
// could then log in as anyone.
func proxyProblem(text string) string {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return "must hold networks; write " + netip.PrefixFrom(addr, addr.BitLen()).String() + " for a single address"
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "must hold networks in CIDR form, such as 10.0.0.0/24"
	case prefix.Bits() == 0:
		return "must not hold the network of all addresses: anybody could then log in as anyone"
	case prefix.Masked() != prefix:
		return "must hold networks, not hosts with a mask; did you mean " + prefix.Masked().String() + "?"
	}
	return ""
}

func (c Config) operationRules() []check {
	levels := []string{"debug", "info", "warn", "error"}
	tracing := ""
	if c.Tracing.Endpoint != "" {
		if u, err := url.Parse(c.Tracing.Endpoint); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			tracing = "must be the URL of an OTLP/HTTP collector without user name, such as http://127.0.0.1:4318"
		}
	}
	return []check{
		{!slices.Contains(levels, c.Log.Level), "log.level", "must be debug, info, warn or error"},
		{c.Audit.Retention < 0, "audit.retention", "must not be negative; 0s keeps events forever"},
		{c.ClientIPHeader != "" && !c.BehindProxy, "client_ip_header", "needs behind_proxy: true; without a proxy anybody can send the header"},
		{c.ClientIPHeader != "" && (!headerToken.MatchString(c.ClientIPHeader) || slices.Contains(ownedHeaders, textproto.CanonicalMIMEHeaderKey(c.ClientIPHeader))), "client_ip_header", "must be the name of a header that the proxy sets, such as X-Forwarded-For"},
		{c.Log.Format != "text" && c.Log.Format != "json", "log.format", "must be text or json"},
		{tracing != "", "tracing.endpoint", tracing},
		{!(c.Tracing.SampleRatio >= 0 && c.Tracing.SampleRatio <= 1), "tracing.sample_ratio", "must be between 0 and 1"},
		{c.RateLimits.ClientPerHour < 0, "rate_limits.client_per_hour", "must not be negative; 0 means no limit"},
		{c.RateLimits.AddressPerHour < 0, "rate_limits.address_per_hour", "must not be negative; 0 means no limit"},
		{c.RateLimits.ClientFailuresPerMinute < 0, "rate_limits.client_failures_per_minute", "must not be negative; 0 means no limit"},
		{c.RateLimits.AddressFailuresPerMinute < 0, "rate_limits.address_failures_per_minute", "must not be negative; 0 means no limit"},
		{c.RateLimits.AddressPerHour > 0 && c.BehindProxy && c.ClientIPHeader == "", "rate_limits.address_per_hour", "needs client_ip_header: everybody has the proxy's address without it, and would share one limit"},
	}
}

// notYetRules refuses settings that this version understands and does not act on. Whoever implements one deletes its line.
func (c Config) notYetRules() []check {
	const notYet = "is not supported by this version; "
	return []check{
		{c.Tokens.Format == "jwt", "tokens.format", notYet + "use opaque"},
		{c.Registration.Enabled, "registration.enabled", notYet + "register clients through the admin API"},
		{c.Tracing.Endpoint != "", "tracing.endpoint", notYet + "leave it out"},
	}
}

// problem says what is wrong with the URL, without its value.
func (u DatabaseURL) problem() string {
	if path, ok := u.SQLitePath(); ok {
		return sqlitePathProblem(path)
	}
	if !u.IsPostgres() {
		return "must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"
	}
	parsed, err := u.parse()
	if err != nil || u.misplaced(parsed) {
		return "is no valid postgres:// URL; percent-encode special characters of the password, such as / ? # and @, and write several hosts as HOST:PORT,HOST:PORT"
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return "has a query that cannot be read; percent-encode special characters"
	}
	if !slices.Contains([]string{"", "any", "primary", "read-write"}, query.Get("target_session_attrs")) {
		return "has a target_session_attrs other than read-write: this server has to write, and finds the one of several hosts that takes writes by itself"
	}
	if commits := query.Get("synchronous_commit"); !slices.Contains([]string{"", "on", "remote_apply"}, commits) {
		return "has a synchronous_commit other than on: what was acknowledged would be lost when the database dies"
	}
	if strings.Contains(string(u), mask) {
		return "holds the mask that stands for a password in printed configuration; put the password itself there"
	}
	return ""
}

// sqliteOptions are what other programs take behind the name of a file.
var sqliteOptions = regexp.MustCompile(`\?[^/]*=[^/]*$`)

// sqlitePathProblem accepts every name that a file can have, except for those by which people mean something else.
func sqlitePathProblem(path string) string {
	switch {
	case path == "":
		return "must name a file: sqlite:PATH"
	case strings.HasPrefix(path, "//"):
		return "has a host after sqlite://, which a file has not; write sqlite:data.db or sqlite:./data.db for a file in the working folder, sqlite:/srv/data.db for any other"
	case path == ":memory:" || strings.HasPrefix(path, "file:"):
		return "must name a file: tokens and revocations have to survive a restart; write sqlite:PATH, without file:"
	case sqliteOptions.MatchString(path):
		return "must not have options after the name of the file: those that matter are set already"
	case strings.HasSuffix(path, "/") || strings.Contains(path, "\x00"):
		return "must name a file, not a folder: sqlite:PATH"
	}
	return ""
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
