package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/people"

	"github.com/spf13/cobra"
)

// consentCommand is the group of commands on what people have allowed applications to do in their name.
func consentCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "consent",
		Short: "See and revoke what people have allowed",
		Long: `See and revoke what people have allowed applications to do in their name. People do this themselves on the page
"Connected applications" (…/grants). ` + whereLong,
		Example: "  fosite-mcp consent list --username ada\n  fosite-mcp consent revoke --username ada --client-id mcp_4xw7",
	}
	var admin apiclient.Flags
	admin.Register(c)
	c.AddCommand(consentListCommand(a, &admin), consentRevokeCommand(a, &admin))
	return c
}

// consentFlags say whose consents, and to whom.
type consentFlags struct{ people.ConsentFilter }

func (f *consentFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.Username, "username", "", "only what the person with this `name` has allowed")
	c.Flags().StringVar(&f.Subject, "subject", "", "only what the person with this `subject` (sub) has allowed")
	c.Flags().StringVar(&f.ClientID, "client-id", "", "only what was allowed to the client with this `id`")
}

func consentListCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var flags consentFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List what people have allowed",
		Long: `List what people have allowed. A client that holds tokens of a person is listed even where the consent itself is not
remembered; only --subject finds such a one, because tokens know the person by subject.`,
		Example: "  fosite-mcp consent list\n  fosite-mcp consent list --client-id mcp_4xw7 --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withPeople(c.Context(), admin, func(ctx context.Context, all directory) error {
				consents, err := all.Consents(ctx, flags.ConsentFilter)
				if err != nil {
					return err
				}
				return printConsents(&a.Terminal, consents)
			})
		},
	}
	flags.register(c)
	return c
}

// consentView is a consent as --json shows it.
type consentView struct {
	Subject    string    `json:"subject"`
	Username   string    `json:"username,omitempty"`
	ClientID   string    `json:"client_id"`
	ClientName string    `json:"client_name,omitempty"`
	Scope      string    `json:"scope"`
	Resources  []string  `json:"resources"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

func viewOfConsent(c people.Consent) consentView {
	return consentView{
		Subject: c.Subject, Username: c.Username, ClientID: c.ClientID, ClientName: c.ClientName, Scope: strings.Join(c.Scopes, " "),
		Resources: append([]string{}, c.Resources...), CreatedAt: c.CreatedAt, LastUsedAt: c.LastUsedAt,
	}
}

func (v consentView) cells() []string {
	return []string{v.Username, v.ClientID, v.ClientName, v.Scope, strings.Join(v.Resources, " "), terminal.Time(&v.CreatedAt), terminal.Time(&v.LastUsedAt), v.Subject}
}

func printConsents(out *terminal.Terminal, consents []people.Consent) error {
	return printItems(out, consents, viewOfConsent, "USERNAME", "CLIENT ID", "CLIENT NAME", "SCOPE", "RESOURCES", "SINCE", "LAST USED", "SUBJECT")
}

func consentRevokeCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var flags consentFlags
	var yes bool
	c := &cobra.Command{
		Use:   "revoke",
		Short: "Take back what people have allowed",
		Long: `Take back what people have allowed: the consent is forgotten and every token that came of it stops working at once. With
--username or --subject alone it is all that the person has allowed, with --client-id alone all that the client was allowed.`,
		Example: `  fosite-mcp consent revoke --username ada --client-id mcp_4xw7
  fosite-mcp consent revoke --client-id mcp_4xw7 --yes`,
		RunE: func(c *cobra.Command, _ []string) error {
			if flags.ConsentFilter == (people.ConsentFilter{}) {
				return terminal.BadUsage("say whose: --username, --subject or --client-id")
			}
			return a.withPeople(c.Context(), admin, func(ctx context.Context, all directory) error {
				return revokeConsents(ctx, &a.Terminal, all, flags.ConsentFilter, yes)
			})
		},
	}
	flags.register(c)
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

func revokeConsents(ctx context.Context, out *terminal.Terminal, all directory, filter people.ConsentFilter, yes bool) error {
	consents, err := all.Consents(ctx, filter)
	if err != nil {
		return err
	}
	if len(consents) == 0 {
		return errors.New("nothing like that was allowed; see fosite-mcp consent list")
	}
	if !yes && !out.JSON && out.IsTerminal() {
		if err := printConsents(out, consents); err != nil {
			return err
		}
	}
	consequence := "1 consent is forgotten, and every token that came of it stops working at once"
	if len(consents) != 1 {
		consequence = fmt.Sprintf("%d consents are forgotten, and every token that came of them stops working at once", len(consents))
	}
	if err := out.Confirm(ctx, yes, consequence, "revoke"); err != nil {
		return err
	}
	n, err := all.Withdraw(ctx, filter)
	if err != nil {
		return err
	}
	told := "revoked 1 consent and the tokens that came of it"
	if n != 1 {
		told = fmt.Sprintf("revoked %d consents and the tokens that came of them", n)
	}
	return out.Done(map[string]any{"revoked": n}, "%s", told)
}
