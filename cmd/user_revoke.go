package cmd

import (
	"context"
	"strings"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/people"

	"github.com/spf13/cobra"
)

// withPerson is withUser for whoever an argument or the flag --subject names. A subject may be of somebody without an account.
func (a *app) withPerson(ctx context.Context, f *apiclient.Flags, args []string, subject string, fn func(context.Context, directory, *people.User) error) error {
	switch {
	case len(args) > 1, len(args) == 1 && subject != "", len(args) == 0 && subject == "":
		return terminal.BadUsage("say who: a user name, or --subject")
	case len(args) == 1:
		return a.withUser(ctx, f, strings.ToLower(args[0]), fn)
	}
	return a.withPeople(ctx, f, func(ctx context.Context, all directory) error {
		return errNoUser(fn(ctx, all, &people.User{ID: subject}), subject)
	})
}

// told is how messages call a person, and how JSON does.
func told(user *people.User) (name string, result map[string]any) {
	if user.Username != "" {
		return "the account " + terminal.Printable(user.Username), map[string]any{"username": user.Username}
	}
	return "the subject " + terminal.Printable(user.ID), map[string]any{"subject": user.ID}
}

func userRevokeCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var subject string
	var yes bool
	c := &cobra.Command{
		Use:   "revoke [USERNAME]",
		Short: "End everything that a person has here, and keep them out",
		Long: `End everything that a person has here, in one step, and keep them out until user enable: the account cannot log in, browsers
are logged out, consents are forgotten and every token that was issued in the person's name is revoked. With --subject it is
somebody without an account here, whom a provider or a proxy has named: oidc|ISSUER|SUB or header|NAME, as consent list shows it.`,
		Example: "  fosite-mcp user revoke ada\n  fosite-mcp user revoke --subject 'oidc|https://idp.example|7' --yes",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withPerson(c.Context(), admin, args, subject, func(ctx context.Context, all directory, user *people.User) error {
				name, result := told(user)
				consequence := "Sessions, consents and tokens of " + name + " end at once, and it is kept out"
				if err := a.Confirm(ctx, yes, consequence, max(user.Username, subject)); err != nil {
					return err
				}
				ended, err := all.KeepOut(ctx, user.ID)
				if err != nil {
					return err
				}
				if user.Username == "" && ended == (people.Ended{}) {
					a.Notice("nothing was known of %s, who is kept out from now on; is the subject right? See fosite-mcp consent list", name)
				}
				result["revoked"], result["sessions"], result["consents"], result["grants"] = true, ended.Sessions, ended.Consents, ended.Grants
				return a.Done(result, "keeping %s out; ended: sessions %d, consents %d, grants with their tokens %d", name, ended.Sessions, ended.Consents, ended.Grants)
			})
		},
	}
	c.Flags().StringVar(&subject, "subject", "", "the `subject` (sub) of the person's tokens, for somebody without an account here")
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}
