package cmd

import (
	"context"
	"fmt"
	"strings"

	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/spf13/cobra"
)

func userPasswordCommand(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "password USERNAME",
		Short: "Give an account a new password",
		Long: `Give an account a new password. It ends the person's browser sessions. Applications that the person has connected keep
their access; to take it away as well: fosite-mcp consent revoke --username USERNAME.`,
		Example: "  fosite-mcp user password ada\n  fosite-mcp user password ada --password-file ada.password",
		RunE: func(c *cobra.Command, args []string) error {
			username := strings.ToLower(args[0])
			return a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				if _, err := store.Users().Find(ctx, username); err != nil {
					return errNoUser(err, username)
				}
				hash, err := newPassword(ctx, &a.Console, username, file)
				if err != nil {
					return err
				}
				if err := store.Users().SetPassword(ctx, username, hash); err != nil {
					return errNoUser(err, username)
				}
				return a.Done(map[string]any{"username": username, "password_changed": true}, "changed the password of %s", console.Printable(username))
			})
		},
	}
	passwordFlag(c, &file)
	return c
}

func userGroupsCommand(a *app) *cobra.Command {
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
				return console.BadUsage("%w", fromStorage(err))
			}
			return a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				if err := store.Users().SetGroups(ctx, username, groups); err != nil {
					return errNoUser(err, username)
				}
				return a.Done(map[string]any{"username": username, "groups": append([]string{}, groups...)}, "changed the groups of %s", console.Printable(username))
			})
		},
	}
	c.Flags().StringArrayVar(&groups, "group", nil, "a `group` of the person; may be given several times")
	return c
}

func userDisableCommand(a *app) *cobra.Command {
	return userEndCommand(a, &cobra.Command{
		Use:   "disable USERNAME",
		Short: "Keep a person out, for now",
		Long: `Keep a person out until the account is enabled again. Browser sessions end, and every token that was issued in the person's
name is revoked for good: after enabling, applications have to be connected again.`,
		Example: "  fosite-mcp user disable ada\n  fosite-mcp user disable ada --yes",
	}, "disabled", "Account %s cannot log in any more, and every application it has connected loses its access at once", (*people.Users).Disable)
}

func userDeleteCommand(a *app) *cobra.Command {
	return userEndCommand(a, &cobra.Command{
		Use:     "delete USERNAME",
		Short:   "Delete an account for good",
		Long:    "Delete an account for good, with its sessions, consents and tokens. A new account of the same name is somebody else.",
		Example: "  fosite-mcp user delete ada\n  fosite-mcp user delete ada --yes",
	}, "deleted", "Account %s and every access it has granted end at once and for good", (*people.Users).Delete)
}

// userEndCommand completes a command that takes something away from a person.
func userEndCommand(a *app, c *cobra.Command, done, consequence string, change func(u *people.Users, ctx context.Context, username string) error) *cobra.Command {
	var yes bool
	c.RunE = func(c *cobra.Command, args []string) error {
		username := strings.ToLower(args[0])
		err := a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
			_, err := store.Users().Find(ctx, username)
			return errNoUser(err, username)
		})
		if err != nil {
			return err
		}
		if err := a.Confirm(c.Context(), yes, fmt.Sprintf(consequence, username), username); err != nil {
			return err
		}
		return changeUser(c.Context(), a, username, done, change)
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}

func userEnableCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "enable USERNAME",
		Short:   "Let a disabled account log in again",
		Example: "  fosite-mcp user enable ada",
		RunE: func(c *cobra.Command, args []string) error {
			return changeUser(c.Context(), a, strings.ToLower(args[0]), "enabled", (*people.Users).Enable)
		},
	}
}

func changeUser(ctx context.Context, a *app, username, done string, change func(u *people.Users, ctx context.Context, username string) error) error {
	return a.withActor(ctx, func(ctx context.Context, store *storage.Store) error {
		if err := change(store.Users(), ctx, username); err != nil {
			return errNoUser(err, username)
		}
		return a.Done(map[string]any{"username": username, done: true}, "%s the account %s", done, console.Printable(username))
	})
}
