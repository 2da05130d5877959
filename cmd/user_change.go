package cmd

import (
	"context"
	"fmt"
	"strings"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/people"

	"github.com/spf13/cobra"
)

func userPasswordCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "password USERNAME",
		Short: "Give an account a new password",
		Long: `Give an account a new password. It ends the person's browser sessions. Applications that the person has connected keep
their access; to take it away as well: fosite-mcp consent revoke --username USERNAME.`,
		Example: "  fosite-mcp user password ada\n  fosite-mcp user password ada --password-file ada.password",
		RunE: func(c *cobra.Command, args []string) error {
			username := strings.ToLower(args[0])
			return a.withUser(c.Context(), admin, username, func(ctx context.Context, all directory, user *people.User) error {
				password, err := newPassword(ctx, &a.Terminal, username, file)
				if err != nil {
					return err
				}
				if err := all.SetPassword(ctx, user, password); err != nil {
					return err
				}
				return a.Done(map[string]any{"username": username, "password_changed": true}, "changed the password of %s", terminal.Printable(username))
			})
		},
	}
	passwordFlag(c, &file)
	return c
}

func userGroupsCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var groups []string
	c := &cobra.Command{
		Use:   "groups USERNAME",
		Short: "Replace the groups of an account",
		Long: `Replace the groups of an account: those that are given are the ones it has from now on, none without --group. They count
at the next introspection of any of the person's tokens.`,
		Example: "  fosite-mcp user groups ada --group staff --group docs\n  fosite-mcp user groups ada",
		RunE: func(c *cobra.Command, args []string) error {
			username := strings.ToLower(args[0])
			if err := checkGroups(groups); err != nil {
				return terminal.BadUsage("%w", fromStorage(err))
			}
			return a.withUser(c.Context(), admin, username, func(ctx context.Context, all directory, user *people.User) error {
				if err := all.SetGroups(ctx, user, groups); err != nil {
					return err
				}
				return a.Done(map[string]any{"username": username, "groups": append([]string{}, groups...)}, "changed the groups of %s", terminal.Printable(username))
			})
		},
	}
	c.Flags().StringArrayVar(&groups, "group", nil, "a `group` of the person; may be given several times")
	return c
}

func userDisableCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return userEndCommand(a, admin, &cobra.Command{
		Use:   "disable USERNAME",
		Short: "Keep a person out, for now",
		Long: `Keep a person out until the account is enabled again. Browser sessions end, and every token that was issued in the person's
name is revoked for good: after enabling, applications have to be connected again.`,
		Example: "  fosite-mcp user disable ada\n  fosite-mcp user disable ada --yes",
	}, "disabled", "Account %s cannot log in any more, and every application it has connected loses its access at once", directory.Disable)
}

func userDeleteCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return userEndCommand(a, admin, &cobra.Command{
		Use:     "delete USERNAME",
		Short:   "Delete an account for good",
		Long:    "Delete an account for good, with its sessions, consents and tokens. A new account of the same name is somebody else.",
		Example: "  fosite-mcp user delete ada\n  fosite-mcp user delete ada --yes",
	}, "deleted", "Account %s and every access it has granted end at once and for good", directory.Delete)
}

// userEndCommand completes a command that takes something away from a person.
func userEndCommand(a *app, admin *apiclient.Flags, c *cobra.Command, done, consequence string, change func(directory, context.Context, *people.User) error) *cobra.Command {
	var yes bool
	c.RunE = func(c *cobra.Command, args []string) error {
		username := strings.ToLower(args[0])
		return a.withUser(c.Context(), admin, username, func(ctx context.Context, all directory, user *people.User) error {
			if err := a.Confirm(ctx, yes, fmt.Sprintf(consequence, username), username); err != nil {
				return err
			}
			if err := change(all, ctx, user); err != nil {
				return err
			}
			return a.Done(map[string]any{"username": username, done: true}, "%s the account %s", done, terminal.Printable(username))
		})
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

func userEnableCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var subject string
	c := &cobra.Command{
		Use:     "enable [USERNAME]",
		Short:   "Let a disabled account log in again",
		Long:    "Let a disabled account log in again; or with --subject somebody without an account here whom user revoke keeps out.",
		Example: "  fosite-mcp user enable ada\n  fosite-mcp user enable --subject 'oidc|https://idp.example|7'",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withPerson(c.Context(), admin, args, subject, func(ctx context.Context, all directory, user *people.User) error {
				if err := all.Enable(ctx, user); err != nil {
					return err
				}
				name, result := told(user)
				result["enabled"] = true
				return a.Done(result, "enabled %s", name)
			})
		},
	}
	c.Flags().StringVar(&subject, "subject", "", "the `subject` (sub) of somebody without an account here")
	return c
}
