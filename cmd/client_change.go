package cmd

import (
	"context"
	"net/http"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

func clientUpdateCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var flags clientFlags
	c := &cobra.Command{
		Use:   "update CLIENT_ID",
		Short: "Change a client",
		Long: `Change a client. What no flag names stays as it is; a list that is given replaces the old one, and an empty
value ("") empties it; metadata is merged member by member, null taking one out (RFC 7396). When somebody else changes the client at the same moment nothing happens.`,
		Example: `  fosite-mcp client update mcp_4xw7 --name "ci (main branch)"
  fosite-mcp client update mcp_4xw7 --expires-at never --access-token-lifespan 24h`,
		RunE: func(c *cobra.Command, args []string) error {
			fields, err := flags.fields(c, time.Now())
			if err != nil {
				return err
			}
			if len(fields) == 0 {
				return terminal.BadUsage("nothing to change; see %s --help", c.CommandPath())
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			return updateClient(c.Context(), &a.Terminal, api, args[0], fields)
		},
	}
	flags.register(c)
	return c
}

// updateClient reads the client and changes it.
func updateClient(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, clientID string, fields map[string]any) error {
	var client clientView
	after, err := patchUnchanged(ctx, api, "client", clientID, fields, &client, func(err error, id string) error { return noClient(ctx, api, err, id) })
	if err != nil {
		return err
	}
	if out.JSON {
		return out.PrintJSON(after.Body)
	}
	return printClient(out, &client)
}

// patchUnchanged reads a client or an issuer and changes it. If-Match makes the server refuse when somebody else has changed it
// meanwhile. missing tells that there is none.
func patchUnchanged(ctx context.Context, api *apiclient.Admin, noun, id string, fields map[string]any, view any, missing func(error, string) error) (*apiclient.Answer, error) {
	before, err := api.Do(ctx, apiclient.Get(noun+"s", id))
	if err != nil {
		return nil, missing(err, id)
	}
	after, err := api.Decode(ctx, apiclient.Call{
		Method: http.MethodPatch, Path: []string{noun + "s", id}, Body: fields,
		ContentType: "application/merge-patch+json", IfMatch: before.ETag,
	}, view)
	if apiclient.IsStatus(err, http.StatusPreconditionFailed) {
		return nil, apiclient.Instead(err, "somebody else changed %s %s at the same moment; nothing was changed. Look at it (fosite-mcp %[1]s show %[2]s) and try again", noun, terminal.Printable(id))
	}
	return after, err
}

func clientEnableCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return clientSwitchCommand(a, admin, "enable", "Let a disabled client work again",
		"Let a disabled client work again. Its tokens that have neither expired nor been revoked come back.",
		"enabled client %s; its unexpired, unrevoked tokens work again")
}

func clientDisableCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return clientSwitchCommand(a, admin, "disable", "Stop a client until it is enabled again",
		"Stop a client: it gets no tokens, and the tokens it has are inactive from the next introspection on. Enabling it brings\nthose back that have neither expired nor been revoked.",
		"disabled client %s: it gets no tokens, and those it has are inactive until it is enabled")
}

func clientSwitchCommand(a *app, admin *apiclient.Flags, verb, short, long, told string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " CLIENT_ID", Short: short, Long: long,
		Example: "  fosite-mcp client " + verb + " mcp_4xw7",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			answer, err := api.Do(c.Context(), apiclient.Post(nil, "clients", args[0], verb))
			if err != nil {
				return noClient(c.Context(), api, err, args[0])
			}
			result := map[string]any{"client_id": args[0], "status": map[string]string{"enable": "active", "disable": "disabled"}[verb]}
			return printChange(&a.Terminal, answer, result, told, terminal.Printable(args[0]))
		},
	}
}
