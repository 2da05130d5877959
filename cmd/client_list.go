package cmd

import (
	"net/http"
	"strings"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/console"

	"github.com/spf13/cobra"
)

func clientListCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var list apiclient.ListFlags
	var status, search string
	c := &cobra.Command{
		Use:   "list",
		Short: "List clients in the order of their registration",
		Example: `  fosite-mcp client list
  fosite-mcp client list --q search --status active
  fosite-mcp client list --all --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := list.Query()
			if err != nil {
				return err
			}
			if status != "" && status != "active" && status != "disabled" {
				return console.BadUsage("--status is active or disabled, not %q", status)
			}
			if status != "" {
				query.Set("status", status)
			}
			if search != "" {
				query.Set("q", search)
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			call := apiclient.Call{Method: http.MethodGet, Path: []string{"clients"}, Query: query}
			return printList[clientView](c.Context(), &a.Console, api, call, list.All,
				"CLIENT ID", "NAME", "STATUS", "SCOPE", "GRANTS", "OWNER", "CREATED", "LAST USED")
		},
	}
	list.Register(c)
	c.Flags().StringVar(&status, "status", "", "only clients that are active or disabled")
	c.Flags().StringVar(&search, "q", "", "only clients with this `text` in id, name or owner")
	return c
}

func (c clientView) cells() []string {
	return []string{c.ID, c.Name, c.Status, c.Scope, strings.Join(c.GrantTypes, " "), c.Owner, console.Time(c.CreatedAt), console.Time(c.LastUsedAt)}
}
