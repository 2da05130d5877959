package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"fosite-mcp/cmd/internal/console"

	"github.com/spf13/cobra"
)

// clientCommand is the group of commands on clients. All but import talk to the admin API of a running server.
func (a *app) clientCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "client",
		Short:   "Register and manage clients",
		Long:    "Register and manage clients through the admin API of a running server.",
		Example: "  fosite-mcp client create --name ci\n  fosite-mcp client list",
	}
	var admin adminFlags
	admin.register(c)
	c.AddCommand(
		a.clientCreateCommand(&admin), a.clientListCommand(&admin), a.clientShowCommand(&admin), a.clientUpdateCommand(&admin),
		a.clientEnableCommand(&admin), a.clientDisableCommand(&admin), a.clientRotateCommand(&admin), a.clientDeleteSecretCommand(&admin), a.clientDeleteCommand(&admin),
		a.clientImportCommand(),
	)
	return c
}

func (a *app) clientCreateCommand(admin *adminFlags) *cobra.Command {
	var flags clientFlags
	var id, secretFile string
	c := &cobra.Command{
		Use:   "create",
		Short: "Register a client",
		Long: `Register a client. Its secret is shown once, now: the server keeps only a hash. A name is enough for a machine
that calls your MCP server.`,
		Example: `  fosite-mcp client create --name ci
  fosite-mcp client create --name ci --secret-file ci.secret
  fosite-mcp client create --name docs-server --introspects https://docs.example.com/mcp
  fosite-mcp client create --name desktop --public --grant-type authorization_code --redirect-uri http://127.0.0.1/callback`,
		RunE: func(c *cobra.Command, _ []string) error {
			fields, err := flags.fields(c, time.Now())
			if err != nil {
				return err
			}
			if fields["client_name"] == nil || fields["client_name"] == "" {
				return console.BadUsage("--name is missing: a name tells people which client this is")
			}
			if id != "" {
				fields["client_id"] = id
			}
			return a.createClient(c.Context(), admin, fields, secretFile)
		},
	}
	flags.register(c)
	c.Flags().StringVar(&id, "client-id", "", "`id` of your choice (default: a random one)")
	c.Flags().StringVar(&secretFile, "secret-file", "", "new `file` (0600) for the secret, which is then not printed")
	return c
}

func (a *app) createClient(ctx context.Context, admin *adminFlags, fields map[string]any, secretFile string) error {
	api, err := a.adminAPI(admin)
	if err != nil {
		return err
	}
	output, err := console.CreateSecretFile(secretFile)
	if err != nil {
		return err
	}
	var client clientView
	answer, err := api.decode(ctx, apiCall{method: http.MethodPost, path: "/clients", body: fields}, &client)
	if err != nil {
		output.Discard()
		return err
	}
	body, err := a.storeSecret(output, client.ID, client.Secret, answer.body)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(body)
	}
	if output != nil {
		client.Secret = ""
	}
	if err := a.printClient(&client); err != nil {
		return err
	}
	a.tellSecret(client.ID, client.Secret, secretFile, len(client.Introspects) > 0)
	return nil
}

// storeSecret moves a new secret into the file that was asked for, and out of the answer that is printed.
func (a *app) storeSecret(output *console.SecretFile, clientID, secret string, body []byte) ([]byte, error) {
	switch {
	case output == nil:
		return body, nil
	case secret == "":
		output.Discard()
		a.Notice("no secret file was written: client %s has no secret", console.Printable(clientID))
		return body, nil
	}
	if err := output.Write(secret); err != nil {
		return nil, fmt.Errorf("%w. The secret is lost; make another with: fosite-mcp client rotate %s", err, console.Printable(clientID))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	delete(members, "client_secret")
	return json.Marshal(members)
}

// tellSecret says what becomes of a new secret, and which command takes it.
func (a *app) tellSecret(clientID, secret, file string, introspects bool) {
	use, source := "get a token with: fosite-mcp token mint", "-"
	if introspects {
		use, source = "start the MCP server as this client, such as: mcp-search", "FILE"
	}
	switch {
	case secret != "":
		a.Notice("client_secret is shown only now; keep it somewhere safe")
	case file != "":
		a.Notice("wrote the client secret to %s", file)
		source = file
	default:
		return
	}
	a.Notice("%s --client-id %s --client-secret-file %s", use, console.Printable(clientID), source)
}

func (a *app) clientShowCommand(admin *adminFlags) *cobra.Command {
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
			id, err := segment(args[0])
			if err != nil {
				return err
			}
			var client clientView
			answer, err := api.decode(c.Context(), apiCall{method: http.MethodGet, path: "/clients/" + id}, &client)
			if err != nil {
				return errNoClient(err, args[0])
			}
			var secrets page[secretView]
			listed, err := api.decode(c.Context(), apiCall{method: http.MethodGet, path: "/clients/" + id + "/secrets"}, &secrets)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.printClientJSON(answer.body, listed.body)
			}
			if err := a.printClient(&client); err != nil {
				return err
			}
			return a.printSecrets(secrets.Items)
		},
	}
}

// printClientJSON prints a client with its secrets' metadata as the member secrets.
func (a *app) printClientJSON(client, secrets []byte) error {
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
	return a.PrintJSON(body)
}

func (a *app) clientDeleteCommand(admin *adminFlags) *cobra.Command {
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
			id, err := segment(args[0])
			if err != nil {
				return err
			}
			if _, err := api.call(c.Context(), apiCall{method: http.MethodGet, path: "/clients/" + id}); err != nil {
				return errNoClient(err, args[0])
			}
			consequence := fmt.Sprintf("Client %s and every token of it end at once and for good; its id can never be used again", args[0])
			if err := a.Confirm(c.Context(), yes, consequence, args[0]); err != nil {
				return err
			}
			if _, err := api.call(c.Context(), apiCall{method: http.MethodDelete, path: "/clients/" + id}); err != nil {
				return errNoClient(err, args[0])
			}
			return a.Done(map[string]any{"client_id": args[0], "deleted": true}, "deleted client %s; its tokens are dead", console.Printable(args[0]))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}
