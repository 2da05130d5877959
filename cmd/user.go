package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/console"
	"fosite-mcp/handlers/login"
	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/ory/fosite"
	"github.com/spf13/cobra"
)

// userCommand is the group of commands on local accounts. They work on the database, because whoever may change who
// can log in is whoever runs the server.
func userCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Manage the local accounts of the login page",
		Long: `Manage the local accounts of the login page. These commands work on the database directly, with the settings of the
server; the server may be running.`,
		Example: "  fosite-mcp user create --username ada --group staff\n  fosite-mcp user list",
	}
	c.AddCommand(userCreateCommand(a), userListCommand(a), userPasswordCommand(a), userGroupsCommand(a),
		userDisableCommand(a), userEnableCommand(a), userDeleteCommand(a))
	return c
}

func userCreateCommand(a *app) *cobra.Command {
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
				return console.BadUsage("--username is missing: it is what the person types on the login page")
			}
			if err := checkUser(user); err != nil {
				return console.BadUsage("%w", fromStorage(err))
			}
			return a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				return createUser(ctx, &a.Console, store, user, file)
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

func createUser(ctx context.Context, out *console.Console, store *storage.Store, user *people.User, file string) error {
	hash, err := newPassword(ctx, out, user.Username, file)
	if err != nil {
		return err
	}
	user.PasswordHash = hash
	err = store.Users().Create(ctx, user)
	if errors.Is(err, people.ErrUserExists) {
		return fmt.Errorf("there is an account %s already; to change its password: fosite-mcp user password %s", user.Username, user.Username)
	}
	if err != nil {
		return fromStorage(err)
	}
	if out.JSON {
		return out.Encode(viewOfUser(user))
	}
	out.Notice("made the account %s", user.Username)
	return nil
}

// newPassword gets a password, checks it and returns its hash.
func newPassword(ctx context.Context, out *console.Console, username, file string) ([]byte, error) {
	password, err := out.ReadNewPassword(ctx, file)
	if err != nil {
		return nil, err
	}
	if err := login.CheckPassword(username, password); err != nil {
		return nil, err
	}
	return login.HashPassword(ctx, provider.NewSecretHasher(), password)
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
	return []string{v.Username, v.Status, strings.Join(v.Groups, ", "), v.Subject, console.Time(&v.CreatedAt)}
}

func userListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the accounts",
		Example: "  fosite-mcp user list\n  fosite-mcp user list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				users, err := store.Users().List(ctx)
				if err != nil {
					return err
				}
				return printItems(&a.Console, users, viewOfUser, "USERNAME", "STATUS", "GROUPS", "SUBJECT", "CREATED")
			})
		},
	}
}

// errNoUser replaces the store's not found.
func errNoUser(err error, username string) error {
	if errors.Is(err, fosite.ErrNotFound) {
		return fmt.Errorf("there is no account %s; see fosite-mcp user list", console.Printable(username))
	}
	return err
}
