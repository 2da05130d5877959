package cmd

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

func clientDeleteSecretCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var yes, revoke bool
	c := &cobra.Command{
		Use:   "delete-secret CLIENT_ID SECRET_ID",
		Short: "End one secret of a client",
		Long: `End one secret of a client, at once and for good. The ids of a client's secrets are listed by client show. Tokens that were
issued with it live on, unless --revoke-tokens is given: give it when the secret has leaked.`,
		Example: "  fosite-mcp client delete-secret mcp_4xw7 cs_abcdef --revoke-tokens",
		RunE: func(c *cobra.Command, args []string) error {
			if err := apiclient.CheckID(args[1]); err != nil {
				return err
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			if err := findSecret(c.Context(), api, args[0], args[1]); err != nil {
				return err
			}
			consequence := fmt.Sprintf("Secret %s of client %s stops working at once and for good", args[1], args[0])
			if revoke {
				consequence += ", and so does every token issued with it"
			}
			if err := a.Confirm(c.Context(), yes, consequence, args[1]); err != nil {
				return err
			}
			call := apiclient.Delete("clients", args[0], "secrets", args[1])
			if revoke {
				call.Query = url.Values{"revoke_tokens": {"true"}}
			}
			if _, err := api.Do(c.Context(), call); apiclient.IsStatus(err, http.StatusNotFound) {
				return errNoSecret(args[0], args[1])
			} else if err != nil {
				return err
			}
			told := "deleted secret %s of client %s; tokens issued with it live on, see: fosite-mcp token revoke --client-id %[2]s --secret-id %[1]s"
			if revoke {
				told = "deleted secret %s of client %s, and revoked every token issued with it"
			}
			result := map[string]any{"client_id": args[0], "secret_id": args[1], "deleted": true, "tokens_revoked": revoke}
			return a.Done(result, told, terminal.Printable(args[1]), terminal.Printable(args[0]))
		},
	}
	c.Flags().BoolVar(&revoke, "revoke-tokens", false, "also revoke the tokens that were issued with it")
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

// listSecrets lists what is known about the secrets of a client.
func listSecrets(ctx context.Context, api *apiclient.Admin, clientID string) ([]secretView, error) {
	var list apiclient.Page[secretView]
	_, err := api.Decode(ctx, apiclient.Get("clients", clientID, "secrets"), &list)
	return list.Items, err
}

// findSecret returns an error unless the client has this secret.
func findSecret(ctx context.Context, api *apiclient.Admin, clientID, secretID string) error {
	secrets, err := listSecrets(ctx, api, clientID)
	if err != nil {
		return noClient(ctx, api, err, clientID)
	}
	for _, secret := range secrets {
		if secret.ID == secretID {
			return nil
		}
	}
	return errNoSecret(clientID, secretID)
}

func errNoSecret(clientID, secretID string) error {
	return apiclient.NotFound("client %s has no secret %s; see: fosite-mcp client show %[1]s", terminal.Printable(clientID), terminal.Printable(secretID))
}
