package cmd

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/handlers/login"
	"fosite-mcp/storage/people"

	"github.com/spf13/cobra"
)

// userCommand is the group of commands on local accounts.
func userCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "user",
		Short:   "Manage the local accounts of the login page",
		Long:    "Manage the local accounts of the login page. " + whereLong,
		Example: "  fosite-mcp user create --username ada --group staff\n  fosite-mcp user list --admin-url https://admin.example --admin-key-file people.key",
	}
	var admin apiclient.Flags
	admin.Register(c)
	c.AddCommand(userCreateCommand(a, &admin), userListCommand(a, &admin), userPasswordCommand(a, &admin), userGroupsCommand(a, &admin),
		userDisableCommand(a, &admin), userEnableCommand(a, &admin), userRevokeCommand(a, &admin), userDeleteCommand(a, &admin))
	return c
}

func userCreateCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	var username, file string
	var groups []string
	c := &cobra.Command{
		Use:   "create",
		Short: "Make an account",
		Long: `Make an account. The password is asked for twice, or read from --password-file. It has 12 characters or more. Groups are
passed on to the services that check tokens (introspection), which may restrict what they show.`,
		Example: `  fosite-mcp user create --username ada
  fosite-mcp user create --username ada --password-file ada.password --group staff --group docs`,
		RunE: func(c *cobra.Command, _ []string) error {
			user := &people.User{Username: strings.ToLower(username), Groups: groups}
			if username == "" {
				return terminal.BadUsage("--username is missing: it is what the person types on the login page")
			}
			if err := checkUser(user); err != nil {
				return terminal.BadUsage("%w", fromStorage(err))
			}
			return a.withPeople(c.Context(), admin, func(ctx context.Context, all directory) error {
				return createUser(ctx, &a.Terminal, all, user, file)
			})
		},
	}
	c.Flags().StringVar(&username, "username", "", "`name` to log in with: letters, digits and . _ @ + -")
	c.Flags().StringArrayVar(&groups, "group", nil, "a `group` of the person; may be given several times")
	passwordFlag(c, &file)
	return c
}

func checkUser(user *people.User) error {
	if err := people.CheckUsername(user.Username); err != nil {
		return err
	}
	return checkGroups(user.Groups)
}

func checkGroups(groups []string) error {
	for _, group := range groups {
		if err := people.CheckGroup(group); err != nil {
			return err
		}
	}
	return nil
}

func passwordFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "password-file", "", "`file` with the password (- reads stdin; default: ask for it)")
}

func createUser(ctx context.Context, out *terminal.Terminal, all directory, user *people.User, file string) error {
	password, err := newPassword(ctx, out, user.Username, file)
	if err != nil {
		return err
	}
	err = all.Create(ctx, user, password)
	if errors.Is(err, people.ErrUserExists) || apiclient.IsStatus(err, http.StatusConflict) {
		return apiclient.Instead(err, "there is an account %[1]s already; to change its password: fosite-mcp user password %[1]s", user.Username)
	}
	if err != nil {
		return err
	}
	if out.JSON {
		return out.Encode(viewOfUser(user))
	}
	out.Notice("made the account %s", user.Username)
	return nil
}

// newPassword gets a password and checks it.
func newPassword(ctx context.Context, out *terminal.Terminal, username, file string) (string, error) {
	password, err := out.ReadNewPassword(ctx, file)
	if err != nil {
		return "", err
	}
	return password, login.CheckPassword(username, password)
}

// userView is an account as --json shows it.
type userView struct {
	Username   string    `json:"username"`
	Subject    string    `json:"subject"`
	Groups     []string  `json:"groups"`
	Status     string    `json:"status"`
	CreatedAt  time.Time `json:"created_at"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
}

func viewOfUser(u *people.User) userView {
	v := userView{Username: u.Username, Subject: u.ID, Groups: append([]string{}, u.Groups...), Status: "active", CreatedAt: u.CreatedAt, DisabledAt: u.DisabledAt}
	slices.Sort(v.Groups)
	if !u.DisabledAt.IsZero() {
		v.Status = "disabled"
	}
	return v
}

func (v userView) cells() []string {
	return []string{v.Username, v.Status, strings.Join(v.Groups, ", "), v.Subject, terminal.Time(&v.CreatedAt)}
}

func userListCommand(a *app, admin *apiclient.Flags) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the accounts",
		Long:    "List the accounts, and people without an account here who are kept out (user revoke --subject); these have no name.",
		Example: "  fosite-mcp user list\n  fosite-mcp user list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withPeople(c.Context(), admin, func(ctx context.Context, all directory) error {
				users, err := all.List(ctx)
				if err != nil {
					return err
				}
				return printItems(&a.Terminal, users, viewOfUser, "USERNAME", "STATUS", "GROUPS", "SUBJECT", "CREATED")
			})
		},
	}
}
