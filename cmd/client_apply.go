package cmd

import (
	"context"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/fleet"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// fleetFlags are those of client apply.
type fleetFlags struct {
	file, format, secretsDir string
	secretsExpireIn          terminal.Span
	yes                      bool
}

func clientApplyCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var f fleetFlags
	c := &cobra.Command{
		Use:   "apply",
		Short: "Bring many clients to what a file says",
		Long: `Bring many clients to what a file says, which is a list in YAML, JSON or, with the ending .csv, a spreadsheet whose first line
names the members. The members are those of the admin API (RFC 7591), and client_id says which client is meant. What the file leaves out
stays as it is, and gets its default in a new client; null is the default, too. No client is deleted.

Without --yes nothing is changed: one line for each client tells what would be. The server checks the whole file first, and changes
nothing if there is a mistake. The secret of each new client goes into a file of its own (0600) in --secrets-dir. Run it as often as you
like: what is as the file says stays so, and what was interrupted goes on, with no secret lost within 10 minutes.`,
		Example: `  fosite-mcp client apply -f clients.yaml
  fosite-mcp client apply -f clients.csv --secrets-dir secrets --yes`,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case f.file == "":
				return terminal.BadUsage("-f FILE is missing (- reads stdin)")
			case f.format != "" && f.format != "yaml" && f.format != "csv":
				return terminal.BadUsage("--format is yaml (JSON is YAML, too) or csv, not %q", f.format)
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			return f.run(c.Context(), &a.Terminal, api)
		},
	}
	flags := c.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "`file` with the clients, - for stdin")
	flags.StringVar(&f.format, "format", "", "yaml or csv (default: csv if the file ends with .csv)")
	flags.StringVar(&f.secretsDir, "secrets-dir", "", "`folder` for the secrets of new clients, each in the file CLIENT_ID.secret")
	flags.Var(&f.secretsExpireIn, "secrets-expire-in", "end the secrets of new clients after this time, such as 90d (default: they have no end)")
	flags.BoolVar(&f.yes, "yes", false, "do it, rather than telling what would be done")
	return c
}

func (f *fleetFlags) run(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin) error {
	input, err := out.Open(f.file)
	if err != nil {
		return err
	}
	defer input.Close()
	entries, err := fleet.Read(input, f.format == "csv" || f.format == "" && strings.HasSuffix(strings.ToLower(f.file), ".csv"))
	if err != nil {
		return err
	}
	secrets, err := fleet.OpenSecrets(f.secretsDir, f.yes)
	if err != nil {
		return err
	}
	defer secrets.Close()
	plan := &fleet.Plan{API: api, Terminal: out, Secrets: secrets, SecretLife: time.Duration(f.secretsExpireIn)}
	if err := plan.Make(ctx, entries); err != nil {
		return err
	}
	switch {
	case !f.yes:
		return plan.Show()
	case secrets == nil && plan.NeedsSecrets():
		return terminal.BadUsage("new clients get secrets: say where to with --secrets-dir DIR")
	}
	return plan.Apply(ctx)
}
