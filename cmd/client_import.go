package cmd

import (
	"context"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/importer"
	"fosite-mcp/config"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/spf13/cobra"
)

// clientImportCommand takes over clients of another server. It works on the database.
func clientImportCommand(a *app) *cobra.Command {
	var apply, dropUnknown bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over clients from Ory Hydra, or from another fosite-mcp",
		Long: `Take over clients from FILE (- for stdin): an array of clients in Ory Hydra's format, or what client list --json
prints. Without --apply nothing is changed: one line for each client tells what would be. It can be repeated; a client
that is here already is brought to what the file says.

Secrets come along when client_secret holds their hash (bcrypt, PBKDF2 or argon2id). Hydra's API leaves hashes out; they
are in its database. A client without one needs a new secret: fosite-mcp client rotate. The secrets of clients that exist here
are never touched.

This command works on the database directly; the server may be running. It has to have the server's settings: --config
must name the file that the server runs with. Scopes and resources come from there, and a client whose audience the file
does not name gets the default resource. So does one that is here with an audience that names no resource of the settings.`,
		Example: `  hydra list oauth2-clients --format json > clients.json
  fosite-mcp client import clients.json --config fosite-mcp.yaml
  fosite-mcp client import clients.json --config fosite-mcp.yaml --apply`,
		RunE: func(c *cobra.Command, args []string) error {
			input, err := a.Open(args[0])
			if err != nil {
				return err
			}
			defer input.Close()
			return a.withData(c.Context(), func(ctx context.Context, cfg config.Config, store *storage.Store) error {
				rules := importer.Rules{Rules: authserver.ClientRules(cfg), DropUnknown: dropUnknown}
				i := &importer.Importer{Terminal: &a.Terminal, Store: store, Apply: apply, Rules: rules}
				return i.Run(audit.WithOrigin(ctx, audit.Origin{Actor: shellActor()}), input)
			})
		},
	}
	c.Flags().BoolVar(&apply, "apply", false, "do it, rather than telling what would be done")
	c.Flags().BoolVar(&dropUnknown, "drop-unknown", false, "leave out scopes, resources and grant types that this server does not know")
	return c
}
