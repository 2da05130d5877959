package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// clientCommand is the group of commands on clients. All but import talk to the admin API of a running server.
func clientCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "client",
		Short:   "Register and manage clients",
		Long:    "Register and manage clients through the admin API of a running server.",
		Example: "  fosite-mcp client create --name ci\n  fosite-mcp client list",
	}
	var admin apiclient.Flags
	admin.Register(c)
	c.AddCommand(
		clientCreateCommand(a, &admin), clientListCommand(a, &admin), clientShowCommand(a, &admin), clientUpdateCommand(a, &admin),
		clientEnableCommand(a, &admin), clientDisableCommand(a, &admin), clientRotateCommand(a, &admin), clientDeleteSecretCommand(a, &admin), clientDeleteCommand(a, &admin),
		clientImportCommand(a), clientApplyCommand(a, &admin), clientUsageCommand(a, &admin),
	)
	return c
}

func clientCreateCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var flags clientFlags
	var id, secretFile, secretExpiresAt string
	var secretExpiresIn terminal.Span
	c := &cobra.Command{
		Use:   "create",
		Short: "Register a client",
		Long: `Register a client. Its secret is shown once, now: the server keeps only a hash. A name is enough for a machine
that calls your MCP server.`,
		Example: `  fosite-mcp client create --name ci
  fosite-mcp client create --name ci --secret-file ci.secret --secret-expires-in 90d
  fosite-mcp client create --name docs-server --introspects https://docs.example.com/mcp
  fosite-mcp client create --name desktop --public --grant-type authorization_code --redirect-uri http://127.0.0.1/callback`,
		RunE: func(c *cobra.Command, _ []string) error {
			fields, err := flags.fields(c, time.Now())
			if err != nil {
				return err
			}
			if fields["client_name"] == nil || fields["client_name"] == "" {
				return terminal.BadUsage("--name is missing: a name tells people which client this is")
			}
			if id != "" {
				fields["client_id"] = id
			}
			if c.Flags().Changed("secret-expires-in") {
				fields["secret_expires_in"] = secretExpiresIn.Seconds()
			}
			if secretExpiresAt != "" {
				t, err := terminal.ParseTime(secretExpiresAt)
				if err != nil {
					return terminal.BadUsage("--secret-expires-at: %w", err)
				}
				fields["secret_expires_at"] = t
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			return a.createClient(c.Context(), api, fields, secretFile)
		},
	}
	flags.register(c)
	c.Flags().StringVar(&id, "client-id", "", "`id` of your choice (default: a random one)")
	c.Flags().Var(&secretExpiresIn, "secret-expires-in", "end the secret after this time, such as 90d (default: it has no end)")
	c.Flags().StringVar(&secretExpiresAt, "secret-expires-at", "", "`time` at which the secret ends, such as 2027-12-31")
	c.MarkFlagsMutuallyExclusive("secret-expires-in", "secret-expires-at")
	c.Flags().StringVar(&secretFile, "secret-file", "", "new `file` (0600) for the secret, which is then not printed")
	return c
}

func (a *app) createClient(ctx context.Context, api *apiclient.Admin, fields map[string]any, secretFile string) error {
	out := &a.Terminal
	output, err := terminal.CreateSecretFile(secretFile)
	if err != nil {
		return err
	}
	var client clientView
	answer, err := api.Decode(ctx, apiclient.Post(fields, "clients"), &client)
	if err != nil {
		output.Discard()
		return err
	}
	if client.Secret == "" {
		secretFile = "" // nothing gets into it
	}
	body, err := storeSecret(out, output, client.ID, &client.Secret, answer.Body)
	if err != nil {
		return err
	}
	if out.JSON {
		return out.PrintJSON(body)
	}
	if err := printClient(out, &client); err != nil {
		return err
	}
	a.noticeSecret(&client, client.Secret, secretFile)
	return nil
}

// storeSecret writes a new secret to the file, if there is one. Then it empties secret and takes it out of the answer, so that
// it is not printed.
func storeSecret(out *terminal.Terminal, output *terminal.SecretFile, clientID string, secret *string, body []byte) ([]byte, error) {
	switch {
	case output == nil:
		return body, nil
	case *secret == "":
		output.Discard()
		out.Notice("no secret file was written: client %s has no secret", terminal.Printable(clientID))
		return body, nil
	}
	if err := output.Write(*secret); err != nil {
		return nil, fmt.Errorf("%w. The secret is lost; make another with: fosite-mcp client rotate %s", err, terminal.Printable(clientID))
	}
	*secret = ""
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	delete(members, "client_secret")
	return json.Marshal(members)
}

func clientShowCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return &cobra.Command{
		Use:     "show CLIENT_ID",
		Short:   "Show a client and what is known about its secrets",
		Long:    "Show a client and what is known about its secrets. " + lastUsedLags,
		Example: "  fosite-mcp client show mcp_4xw7\n  fosite-mcp client show mcp_4xw7 --json",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			var client clientView
			answer, err := api.Decode(c.Context(), apiclient.Get("clients", args[0]), &client)
			if err != nil {
				return noClient(c.Context(), api, err, args[0])
			}
			var secrets apiclient.Page[secretView]
			listed, err := api.Decode(c.Context(), apiclient.Get("clients", args[0], "secrets"), &secrets)
			if err != nil {
				return err
			}
			if a.JSON {
				return printClientJSON(&a.Terminal, answer.Body, listed.Body)
			}
			if err := printClient(&a.Terminal, &client); err != nil {
				return err
			}
			return printSecrets(&a.Terminal, secrets.Items)
		},
	}
}

// printClientJSON prints a client with its secrets' metadata as the member secrets.
func printClientJSON(out *terminal.Terminal, client, secrets []byte) error {
	var members map[string]json.RawMessage
	var list struct {
		Items json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(client, &members); err != nil {
		return err
	}
	if err := json.Unmarshal(secrets, &list); err != nil {
		return err
	}
	members["secrets"] = list.Items
	body, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return out.PrintJSON(body)
}

func clientDeleteCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete CLIENT_ID",
		Short: "Delete a client for good",
		Long: `Delete a client for good: its tokens stop working at once, and its id is never given out again. To be able to
bring it back, disable it instead.`,
		Example: "  fosite-mcp client delete mcp_4xw7\n  fosite-mcp client delete mcp_4xw7 --yes",
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			consequence := fmt.Sprintf("Client %s and every token of it end at once and for good; its id can never be used again", args[0])
			if err := confirmForClient(c.Context(), &a.Terminal, api, yes, args[0], consequence); err != nil {
				return err
			}
			if _, err := api.Do(c.Context(), apiclient.Delete("clients", args[0])); err != nil {
				return noClient(c.Context(), api, err, args[0])
			}
			return a.Done(map[string]any{"client_id": args[0], "deleted": true}, "deleted client %s; its tokens are dead", terminal.Printable(args[0]))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}
