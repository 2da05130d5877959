package config

import (
	"regexp"
	"strings"
	"time"

	"fosite-mcp/provider/client"
)

func (c Config) registrationRules() []check {
	r := c.Registration
	token := ""
	if r.InitialAccessToken != "" {
		token = AdminKeyProblem(r.InitialAccessToken.Reveal())
	}
	rules := []check{
		{r.Enabled && len(c.Login.Methods) == 0, "registration.enabled", "needs a way to log in: clients that register themselves get tokens for people alone; set login.methods, or register machines by the admin API"},
		found("registration.initial_access_token", token),
		{r.AddressPerHour < 0, "registration.address_per_hour", "must not be negative; 0 means no limit"},
		{r.AddressPerHour > 0 && r.Enabled && c.BehindProxy && c.ClientIPHeader == "", "registration.address_per_hour", "needs client_ip_header: everybody has the proxy's address without it, and would share one limit; set that, or 0 here"},
		{r.MaxUnused < 1 || r.MaxUnused > 1_000_000, "registration.max_unused", "must be between 1 and 1000000"},
		{outside(r.UnusedLifespan, time.Hour, 365*24*time.Hour), "registration.unused_lifespan", "must be whole seconds between 1h and 8760h"},
	}
	for _, host := range r.RedirectHosts {
		if host != "*" {
			rules = append(rules, found("registration.redirect_hosts", redirectHostProblem(host)))
		}
	}
	for _, host := range r.DocumentHosts {
		rules = append(rules, found("registration.document_hosts", documentHostProblem(host)))
	}
	for _, host := range r.DeniedHosts {
		rules = append(rules, found("registration.denied_document_hosts", documentHostProblem(host)))
	}
	for _, scheme := range r.RedirectSchemes {
		rules = append(rules, found("registration.redirect_schemes", schemeProblem(scheme)))
	}
	return rules
}

func redirectHostProblem(name string) string {
	if !hostName.MatchString(name) {
		return `must hold host names in lower case without scheme, port and path, such as app.example.com, or "*" for any; ` + shown(name) + " is none"
	}
	return ""
}

func documentHostProblem(entry string) string {
	if entry != "*" && !hostName.MatchString(strings.TrimPrefix(entry, "*.")) {
		return `must hold host names in lower case without scheme, port and path, such as app.example.com or *.example.com, or "*" for any; ` + shown(entry) + " is none"
	}
	return ""
}

var schemeName = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)

func schemeProblem(scheme string) string {
	if !schemeName.MatchString(scheme) {
		return "must hold schemes in lower case without a colon, such as cursor; " + shown(scheme) + " is none"
	}
	if err := client.CheckRedirectURI(scheme+"://host/callback", true); err != nil {
		return "must not hold " + shown(scheme) + ": a redirect URI " + err.Error()
	}
	return ""
}
