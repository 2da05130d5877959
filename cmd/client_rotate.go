package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"

	"github.com/spf13/cobra"
)

// rotation holds the flags of client rotate: when the other secrets end, and where the new one goes.
type rotation struct {
	previousIn   terminal.Span
	onFirstUse   bool
	keepPrevious bool
	leaked       bool
	yes          bool
	expiresAt    string
	expiresIn    terminal.Span
	secretFile   string
}

func clientRotateCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var r rotation
	c := &cobra.Command{
		Use:   "rotate CLIENT_ID",
		Short: "Give a client a new secret; after a leak, end the others and their tokens",
		Long: `Give a client a new secret, shown once. The earlier secrets go on working for 7 days, in which to roll the new one out;
--expires-previous-in sets another time, --end-previous-on-first-use lets the first use of the new one end them, and
--keep-previous leaves them alone. Tokens stay as they are.

A secret has leaked? --leaked is the whole remedy: it ends every earlier secret at once, and with them every token that was
issued with one. Where a client has several secrets and one alone has leaked, delete-secret --revoke-tokens ends that one.`,
		Example: `  fosite-mcp client rotate mcp_4xw7 --secret-file ci-new.secret
  fosite-mcp client rotate mcp_4xw7 --leaked
  fosite-mcp client rotate mcp_4xw7 --end-previous-on-first-use
  fosite-mcp client rotate mcp_4xw7 --expires-previous-in 0s`,
		RunE: func(c *cobra.Command, args []string) error {
			body, err := r.body(c, time.Now())
			if err != nil {
				return err
			}
			api, err := a.adminAPI(admin)
			if err != nil {
				return err
			}
			return a.rotateSecret(c.Context(), api, args[0], &r, body)
		},
	}
	flags := c.Flags()
	flags.BoolVar(&r.leaked, "leaked", false, "end the other secrets at once, and every token issued with one of them")
	flags.Var(&r.previousIn, "expires-previous-in", "end the other secrets after this time (default: 7d); 0s: at once")
	flags.BoolVar(&r.onFirstUse, "end-previous-on-first-use", false, "end the other secrets when the new one is first used")
	flags.BoolVar(&r.keepPrevious, "keep-previous", false, "the other secrets go on working, without an end")
	flags.StringVar(&r.expiresAt, "expires-at", "", "`time` at which the new secret ends (default: never)")
	flags.Var(&r.expiresIn, "expires-in", "the same counted from now, such as 90d")
	flags.StringVar(&r.secretFile, "secret-file", "", "new `file` (0600) for the secret, which is then not printed")
	flags.BoolVar(&r.yes, "yes", false, "with --leaked: do it without asking")
	c.MarkFlagsMutuallyExclusive("leaked", "expires-previous-in", "end-previous-on-first-use", "keep-previous")
	c.MarkFlagsMutuallyExclusive("expires-at", "expires-in")
	return c
}

func (r *rotation) body(c *cobra.Command, now time.Time) (map[string]any, error) {
	body := map[string]any{}
	if c.Flags().Changed("expires-previous-in") {
		body["expires_previous_in"] = r.previousIn.Seconds()
	}
	for name, set := range map[string]bool{
		"end_previous_on_first_use": r.onFirstUse, "keep_previous": r.keepPrevious, "leaked": r.leaked,
	} {
		if set {
			body[name] = true
		}
	}
	if r.expiresIn > 0 {
		body["expires_at"] = now.Add(time.Duration(r.expiresIn)).UTC().Truncate(time.Second)
	}
	if r.expiresAt != "" {
		t, err := terminal.ParseTime(r.expiresAt)
		if err != nil {
			return nil, terminal.BadUsage("--expires-at: %w", err)
		}
		body["expires_at"] = t
	}
	return body, nil
}

func (a *app) rotateSecret(ctx context.Context, api *apiclient.Admin, clientID string, r *rotation, body map[string]any) error {
	out := &a.Terminal
	if r.leaked {
		consequence := "Every secret that client " + clientID + " has now, and every token issued with one, stops working at once and for good"
		if err := confirmForClient(ctx, out, api, r.yes, clientID, consequence); err != nil {
			return err
		}
	}
	output, err := terminal.CreateSecretFile(r.secretFile)
	if err != nil {
		return err
	}
	var made newSecret
	answer, err := api.Decode(ctx, apiclient.Post(body, "clients", clientID, "secrets"), &made)
	if err == nil && made.Secret == "" {
		err = errors.New("the server answered without a secret")
	}
	if err != nil {
		output.Discard()
		return noClient(ctx, api, err, clientID)
	}
	shown, err := storeSecret(out, output, clientID, &made.Secret, answer.Body)
	if err != nil {
		return err
	}
	if out.JSON {
		return out.PrintJSON(shown)
	}
	err = out.Fields("client_id", clientID, "secret_id", made.ID, "client_secret", made.Secret,
		"created_at", terminal.Time(made.CreatedAt), "expires_at", terminal.Time(made.ExpiresAt))
	if err != nil {
		return err
	}
	var client clientView
	if _, err := api.Decode(ctx, apiclient.Get("clients", clientID), &client); err != nil {
		client = clientView{ID: clientID} // the secret is made: say where it is all the same
	}
	a.noticeSecret(&client, made.Secret, r.secretFile)
	noticeOtherSecrets(ctx, out, api, clientID, r, &made)
	return nil
}

// newSecret is the answer to a rotation.
type newSecret struct {
	secretView
	Secret           string     `json:"client_secret"`
	PreviousExpireAt *time.Time `json:"previous_expire_at"`
	TokensRevoked    bool       `json:"tokens_revoked"`
}

// noticeOtherSecrets says when the other secrets of the client end, by the answer of the server, and how to end them now.
func noticeOtherSecrets(ctx context.Context, out *terminal.Terminal, api *apiclient.Admin, clientID string, r *rotation, made *newSecret) {
	if made.TokensRevoked {
		out.Notice("the other secrets have ended, and so has every token that was issued with one of them")
		return
	}
	secrets, err := listSecrets(ctx, api, clientID)
	if err != nil {
		out.Notice("see what becomes of the other secrets: fosite-mcp client show %s", terminal.Printable(clientID))
		return
	}
	hint := ""
	for _, secret := range secrets {
		if secret.ID != made.ID {
			hint += fmt.Sprintf("\n  fosite-mcp client delete-secret %s %s", terminal.Printable(clientID), terminal.Printable(secret.ID))
		}
	}
	switch {
	case hint == "" && made.PreviousExpireAt != nil && !made.PreviousExpireAt.After(*made.CreatedAt):
		out.Notice("the other secrets have ended; tokens issued with them live on, see client rotate --leaked")
	case hint == "":
	case r.onFirstUse:
		out.Notice("the other secrets end when the new one is first used; end them now with:%s", hint)
	case made.PreviousExpireAt == nil:
		out.Notice("the other secrets go on working as before; end them with:%s", hint)
	default:
		out.Notice("the other secrets end at %s; end them now with:%s", terminal.Time(made.PreviousExpireAt), hint)
	}
}
