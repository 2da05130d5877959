package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// rotation says what becomes of a client's other secrets when it gets a new one.
type rotation struct {
	previousIn span
	onFirstUse bool
	expiresAt  string
	expiresIn  span
	secretFile string
}

func (a *app) clientRotateCommand(admin *adminFlags) *cobra.Command {
	var r rotation
	c := &cobra.Command{
		Use:   "rotate CLIENT_ID",
		Short: "Give a client a new secret",
		Long: `Give a client a new secret, shown once. Without further flags the earlier secrets go on working: roll the new one
out, then end the others with --expires-previous-in, or let its first use do so. Tokens stay as they are.`,
		Example: `  fosite-mcp client rotate mcp_4xw7 --expires-previous-in 24h --secret-file ci.secret
  fosite-mcp client rotate mcp_4xw7 --end-previous-on-first-use
  fosite-mcp client rotate mcp_4xw7 --expires-previous-in 0s`,
		RunE: func(c *cobra.Command, args []string) error {
			body, err := r.body(c, time.Now())
			if err != nil {
				return err
			}
			return a.rotateSecret(c.Context(), admin, args[0], body, r.secretFile)
		},
	}
	c.Flags().Var(&r.previousIn, "expires-previous-in", "end the other secrets after this time; 0s: at once")
	c.Flags().BoolVar(&r.onFirstUse, "end-previous-on-first-use", false, "end the other secrets when the new one is first used")
	c.Flags().StringVar(&r.expiresAt, "expires-at", "", "`time` at which the new secret ends (default: never)")
	c.Flags().Var(&r.expiresIn, "expires-in", "the same counted from now, such as 90d")
	c.Flags().StringVar(&r.secretFile, "secret-file", "", "new `file` (0600) for the secret, which is then not printed")
	c.MarkFlagsMutuallyExclusive("expires-previous-in", "end-previous-on-first-use")
	c.MarkFlagsMutuallyExclusive("expires-at", "expires-in")
	return c
}

func (r *rotation) body(c *cobra.Command, now time.Time) (map[string]any, error) {
	body := map[string]any{}
	if c.Flags().Changed("expires-previous-in") {
		body["expires_previous_in"] = r.previousIn.seconds()
	}
	if r.onFirstUse {
		body["end_previous_on_first_use"] = true
	}
	if r.expiresIn > 0 {
		body["expires_at"] = now.Add(time.Duration(r.expiresIn)).UTC().Truncate(time.Second)
	}
	if r.expiresAt != "" {
		t, err := parseTime(r.expiresAt)
		if err != nil {
			return nil, usageError{fmt.Errorf("--expires-at: %w", err)}
		}
		body["expires_at"] = t
	}
	return body, nil
}

func (a *app) rotateSecret(ctx context.Context, admin *adminFlags, clientID string, body map[string]any, secretFile string) error {
	api, err := a.adminAPI(admin)
	if err != nil {
		return err
	}
	id, err := segment(clientID)
	if err != nil {
		return err
	}
	output, err := reserveSecretFile(secretFile)
	if err != nil {
		return err
	}
	var made struct {
		secretView
		Secret string `json:"client_secret"`
	}
	answer, err := api.decode(ctx, apiCall{method: http.MethodPost, path: "/clients/" + id + "/secrets", body: body}, &made)
	if err == nil && made.Secret == "" {
		err = errors.New("the server answered without a secret")
	}
	if err != nil {
		output.discard()
		return errNoClient(err, clientID)
	}
	shown, err := a.storeSecret(output, clientID, made.Secret, answer.body)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(shown)
	}
	if output != nil {
		made.Secret = ""
	}
	err = a.block("client_id", clientID, "secret_id", made.ID, "client_secret", made.Secret,
		"created_at", shownTime(made.CreatedAt), "expires_at", shownTime(made.ExpiresAt))
	if err != nil {
		return err
	}
	a.tellSecret(clientID, made.Secret, secretFile, false)
	if told := previousSecrets(body); told != "" {
		a.notice("%s", told)
		return nil
	}
	a.tellOtherSecrets(ctx, api, clientID, made.ID)
	return nil
}

// tellOtherSecrets names the secrets that go on working beside a new one. It is a hint: without it nothing is lost.
func (a *app) tellOtherSecrets(ctx context.Context, api *adminAPI, clientID, newID string) {
	secrets, err := api.secrets(ctx, clientID)
	hint := ""
	for _, secret := range secrets {
		if secret.ID != newID {
			hint += fmt.Sprintf("\n  fosite-mcp client delete-secret %s %s", printable(clientID), printable(secret.ID))
		}
	}
	switch {
	case err != nil:
		a.notice("the other secrets go on working; see: fosite-mcp client show %s", printable(clientID))
	case hint != "":
		a.notice("the other secrets go on working; end them with:%s", hint)
	}
}

func previousSecrets(body map[string]any) string {
	seconds, timed := body["expires_previous_in"].(int64)
	switch {
	case timed && seconds == 0:
		return "the other secrets have ended"
	case timed:
		return "the other secrets end in " + shownSeconds(seconds)
	case body["end_previous_on_first_use"] != nil:
		return "the other secrets end when the new one is first used"
	}
	return ""
}

func (a *app) clientDeleteSecretCommand(admin *adminFlags) *cobra.Command {
	var yes, revoke bool
	c := &cobra.Command{
		Use:   "delete-secret CLIENT_ID SECRET_ID",
		Short: "End one secret of a client",
		Long: `End one secret of a client, at once and for good. The ids of a client's secrets are listed by client show. Tokens that were
issued with it live on, unless --revoke-tokens is given.`,
		Example: "  fosite-mcp client delete-secret mcp_4xw7 cs_abcdef --revoke-tokens",
		RunE: func(c *cobra.Command, args []string) error {
			id, err := segment(args[0])
			if err != nil {
				return err
			}
			secretID, err := segment(args[1])
			if err != nil {
				return err
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			if err := api.findSecret(c.Context(), args[0], args[1]); err != nil {
				return err
			}
			consequence := fmt.Sprintf("Secret %s of client %s stops working at once and for good", args[1], args[0])
			if revoke {
				consequence += ", and so does every token issued with it"
			}
			if err := a.confirm(c.Context(), yes, consequence, args[1]); err != nil {
				return err
			}
			call := apiCall{method: http.MethodDelete, path: "/clients/" + id + "/secrets/" + secretID}
			if revoke {
				call.query = url.Values{"revoke_tokens": {"true"}}
			}
			if _, err := api.call(c.Context(), call); isStatus(err, http.StatusNotFound) {
				return errNoSecret(args[0], args[1])
			} else if err != nil {
				return err
			}
			return a.done(map[string]any{"client_id": args[0], "secret_id": args[1], "deleted": true}, "deleted secret %s of client %s", printable(args[1]), printable(args[0]))
		},
	}
	c.Flags().BoolVar(&revoke, "revoke-tokens", false, "also revoke the tokens that were issued with it")
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

// secrets lists what is known about the secrets of a client.
func (api *adminAPI) secrets(ctx context.Context, clientID string) ([]secretView, error) {
	id, err := segment(clientID)
	if err != nil {
		return nil, err
	}
	var list page[secretView]
	_, err = api.decode(ctx, apiCall{method: http.MethodGet, path: "/clients/" + id + "/secrets"}, &list)
	return list.Items, err
}

// findSecret tells whether there is such a secret to delete.
func (api *adminAPI) findSecret(ctx context.Context, clientID, secretID string) error {
	secrets, err := api.secrets(ctx, clientID)
	if err != nil {
		return errNoClient(err, clientID)
	}
	for _, secret := range secrets {
		if secret.ID == secretID {
			return nil
		}
	}
	return errNoSecret(clientID, secretID)
}

func errNoSecret(clientID, secretID string) error {
	return fmt.Errorf("client %s has no secret %s; see: fosite-mcp client show %[1]s", printable(clientID), printable(secretID))
}
