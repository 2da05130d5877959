package cmd

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

func clientListCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var list apiclient.ListFlags
	var status, search, owner string
	var unusedFor, expiresWithin terminal.Span
	c := &cobra.Command{
		Use:   "list",
		Short: "List clients in the order of their registration",
		Long:  "List clients in the order of their registration. Filters go together. " + lastUsedLags,
		Example: `  fosite-mcp client list
  fosite-mcp client list --q search --status active
  fosite-mcp client list --owner 'team docs' --unused-for 90d
  fosite-mcp client list --expires-within 30d --all --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := list.Query()
			if err != nil {
				return err
			}
			if !slices.Contains([]string{"", "active", "disabled", "expired"}, status) {
				return terminal.BadUsage("--status is active, disabled or expired, not %q", status)
			}
			for name, value := range map[string]string{"status": status, "q": search, "owner": owner} {
				if value != "" {
					query.Set(name, value)
				}
			}
			for name, span := range map[string]terminal.Span{"unused-for": unusedFor, "expires-within": expiresWithin} {
				if !c.Flags().Changed(name) {
					continue
				}
				if span <= 0 {
					return terminal.BadUsage("--%s must be longer than nothing, such as 90d", name)
				}
				query.Set(strings.ReplaceAll(name, "-", "_"), strconv.FormatInt(span.Seconds(), 10))
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"clients"}, Query: query}
			return printList[clientView](c.Context(), &a.Terminal, api, call, list.All,
				"CLIENT ID", "NAME", "STATUS", "SCOPE", "GRANTS", "OWNER", "CREATED", "LAST USED")
		},
	}
	list.Register(c)
	c.Flags().StringVar(&status, "status", "", "only clients that are active, disabled or expired")
	c.Flags().StringVar(&search, "q", "", "only clients with this `text` in id, name or owner")
	c.Flags().StringVar(&owner, "owner", "", "only clients of this `owner`, exactly")
	c.Flags().Var(&unusedFor, "unused-for", "only clients that were not used for so long, such as 90d; one that never was counts from its registration")
	c.Flags().Var(&expiresWithin, "expires-within", "only clients that end so soon, such as 30d, or that have a secret which does")
	return c
}

func (c clientView) cells() []string {
	return []string{c.ID, c.Name, c.Status, c.Scope, strings.Join(c.GrantTypes, " "), c.Owner, terminal.Time(c.CreatedAt), terminal.Time(c.LastUsedAt)}
}
