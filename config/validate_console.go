package config

import (
	"slices"
	"strings"
)

// consoleRoles are the roles of the admin API.
var consoleRoles = []string{"read", "clients", "people", "admin"}

// ConsoleRole takes an entry of admin.console_groups apart. A group may have a = in its name, and a role has none.
func ConsoleRole(entry string) (group, role string) {
	at := strings.LastIndex(entry, "=")
	if at < 0 {
		return entry, ""
	}
	return entry[:at], entry[at+1:]
}

func (c Config) consoleRules() []check {
	admin := c.Admin
	if len(admin.ConsoleGroups) == 0 {
		return []check{{admin.ConsoleURL != "", "admin.console_url", "is set, and nothing uses it; set admin.console_groups or remove this setting"}}
	}
	rules := []check{
		{!admin.Console, "admin.console_groups", "is set, and admin.console is off; remove one of them"},
		{!slices.Contains(c.Login.Methods, LoginOIDC), "admin.console_groups", "needs a provider: login.methods must list oidc"},
		{admin.ConsoleURL == "", "admin.console_url", "is missing; admin.console_groups needs it, such as https://admin.example.com"},
	}
	if admin.ConsoleURL != "" {
		rules = append(rules, found("admin.console_url", originProblem(admin.ConsoleURL)))
	}
	for _, entry := range admin.ConsoleGroups {
		group, role := ConsoleRole(entry)
		rules = append(rules, check{group == "" || !slices.Contains(consoleRoles, role), "admin.console_groups",
			"must hold entries GROUP=ROLE, where ROLE is read, clients, people or admin, such as platform=admin"})
	}
	return rules
}
