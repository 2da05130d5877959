package config

import (
	"net/netip"
	"net/textproto"
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
		found("login.oidc.issuer", issuerProblem),
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

// unfitHeader reports whether name is no field name, or that of a header that anybody may send.
func unfitHeader(name string) bool {
	return name != "" && (!headerToken.MatchString(name) || slices.Contains(ownedHeaders, textproto.CanonicalMIMEHeaderKey(name)))
}

func (h LoginTrustedHeader) rules(used bool) []check {
	if !used {
		const unused = "is set, but login.methods does not list header; add it there or remove this setting"
		return []check{
			{h.Name != "", "login.header.name", unused},
			{h.Groups != "", "login.header.groups", unused},
			{len(h.Proxies) > 0, "login.header.proxies", unused},
		}
	}
	rules := []check{
		{h.Name == "", "login.header.name", "is missing; login.methods lists header, which needs it, such as X-Forwarded-User"},
		{unfitHeader(h.Name), "login.header.name", "must be the name of a header that only the proxy sets, such as X-Forwarded-User"},
		{unfitHeader(h.Groups), "login.header.groups", "must be the name of a header that only the proxy sets, such as X-Forwarded-Groups"},
		{h.Name != "" && strings.EqualFold(h.Name, h.Groups), "login.header.groups", "must differ from login.header.name"},
		{len(h.Proxies) == 0, "login.header.proxies", "is missing; list the addresses of the proxies that may say who a person is"},
	}
	for _, proxy := range h.Proxies {
		rules = append(rules, found("login.header.proxies", proxyProblem(proxy)))
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
