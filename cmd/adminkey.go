package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
	"github.com/spf13/cobra"
)

// adminKeyCommand is the group of commands on the keys of the admin API. An operator who has lost every key can make a new one in
// the database.
func adminKeyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "admin-key",
		Short:   "Manage the keys of the admin API",
		Long:    "Manage the keys of the admin API. " + whereLong,
		Example: "  fosite-mcp admin-key create --name deploy --role clients --key-file deploy.key\n  fosite-mcp admin-key list",
	}
	var flags apiclient.Flags
	flags.Register(c)
	c.AddCommand(adminKeyCreateCommand(a, &flags), adminKeyListCommand(a, &flags), adminKeyRevokeCommand(a, &flags))
	return c
}

func adminKeyCreateCommand(a *app, flags *apiclient.Flags) *cobra.Command {
	var name, role, file, expiresAt string
	var clientIDs []string
	var expiresIn terminal.Span
	c := &cobra.Command{
		Use:   "create",
		Short: "Make an admin key",
		Long: `Make an admin key. It is shown once, or written to --key-file. Roles: read looks at everything; clients also registers and
changes clients and revokes tokens; people also changes accounts and takes consents back; admin may do everything. With --client-id
the key sees and changes these clients alone, and gives them no scope, resource or grant that they did not have.`,
		Example: `  fosite-mcp admin-key create --name deploy --role clients --key-file deploy.key
  fosite-mcp admin-key create --name auditor --role read --expires-in 30d
  fosite-mcp admin-key create --name search-team --role clients --client-id mcp_4xw7 --key-file search.key`,
		RunE: func(c *cobra.Command, _ []string) error {
			if name == "" || role == "" {
				return terminal.BadUsage("--name and --role are needed: the name is what audit events call the holder")
			}
			if !audit.Role(role).Allows(audit.RoleRead) { // every role may read
				return terminal.BadUsage("--role is read, clients, people or admin, not %q", role)
			}
			key := audit.AdminKey{Name: name, Role: audit.Role(role), Clients: clientIDs}
			if expiresIn > 0 {
				key.ExpiresAt = time.Now().Add(time.Duration(expiresIn)).UTC().Truncate(time.Second)
			}
			if expiresAt != "" {
				end, err := terminal.ParseTime(expiresAt)
				if err != nil {
					return terminal.BadUsage("--expires-at: %w", err)
				}
				key.ExpiresAt = end
			}
			if atServer(flags) {
				return a.createServedKey(c.Context(), flags, &key, file)
			}
			return orAtServer(a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				return createAdminKey(ctx, &a.Terminal, store, &key, file)
			}))
		},
	}
	c.Flags().StringVar(&name, "name", "", "`name` of its holder; never used twice")
	c.Flags().StringVar(&role, "role", "", "read, clients, people or admin")
	c.Flags().StringArrayVar(&clientIDs, "client-id", nil, "the only client that the key is for, by its `id`; repeatable (default: all)")
	c.Flags().Var(&expiresIn, "expires-in", "life of the key, such as 90d (default: until it is revoked)")
	c.Flags().StringVar(&expiresAt, "expires-at", "", "`time` at which the key ends, such as 2027-12-31")
	c.MarkFlagsMutuallyExclusive("expires-in", "expires-at")
	c.Flags().StringVar(&file, "key-file", "", "new `file` (0600) for the key, which is then not printed")
	return c
}

func createAdminKey(ctx context.Context, out *terminal.Terminal, store *storage.Store, key *audit.AdminKey, file string) error {
	if err := knownClients(ctx, store, key.Clients); err != nil {
		return err
	}
	output, err := terminal.CreateSecretFile(file)
	if err != nil {
		return err
	}
	secret := admin.NewKey()
	// The file comes first. If it came second and failed, the key would be lost and its name used up.
	if output != nil {
		if err := output.Write(secret); err != nil {
			return err
		}
	}
	if err := store.AdminKeys().Create(ctx, key, secret); err != nil {
		output.Discard()
		return fromStorage(err)
	}
	view := viewOfAdminKey(*key)
	view.Key = secret
	return printNewAdminKey(out, view, output != nil, file)
}

// printNewAdminKey shows a key once, unless a file has it.
func printNewAdminKey(out *terminal.Terminal, key adminKeyView, written bool, file string) error {
	if written {
		key.Key = ""
	}
	if out.JSON {
		return out.Encode(key)
	}
	err := out.Fields("name", key.Name, "role", key.Role, "client_ids", strings.Join(key.ClientIDs, " "), "admin_key", key.Key, "expires_at", terminal.Time(key.ExpiresAt))
	if err != nil {
		return err
	}
	if written {
		out.Notice("wrote the admin key to %s", file)
		return nil
	}
	out.Notice("admin_key is shown only now; keep it somewhere safe")
	return nil
}

// knownClients refuses an id of no client and of no rule about an issuer.
func knownClients(ctx context.Context, store *storage.Store, ids []string) error {
	for _, id := range ids {
		_, err := store.Clients().Find(ctx, id)
		if errors.Is(err, fosite.ErrNotFound) {
			_, err = store.Issuers().Find(ctx, id)
		}
		if errors.Is(err, fosite.ErrNotFound) {
			return fmt.Errorf("there is no client %s; see: fosite-mcp client list", terminal.Printable(id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// adminKeyView is an admin key as --json shows it.
type adminKeyView struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	Status     string     `json:"status"`
	ClientIDs  []string   `json:"client_ids"`
	Hint       string     `json:"hint"`
	Key        string     `json:"admin_key,omitempty"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func viewOfAdminKey(k audit.AdminKey) adminKeyView {
	return adminKeyView{
		ID: k.ID, Name: k.Name, Role: string(k.Role), ClientIDs: k.Clients, Status: k.Status(time.Now()), Hint: k.Hint, CreatedAt: optional(k.CreatedAt),
		ExpiresAt: optional(k.ExpiresAt), RevokedAt: optional(k.RevokedAt), LastUsedAt: optional(k.LastUsedAt),
	}
}

func (v adminKeyView) cells() []string {
	return []string{v.Name, v.Role, v.Status, strings.Join(v.ClientIDs, " "), v.Hint, terminal.Time(v.CreatedAt), terminal.Time(v.ExpiresAt), terminal.Time(v.LastUsedAt)}
}

var adminKeyHead = []string{"NAME", "ROLE", "STATUS", "CLIENTS", "HINT", "CREATED", "EXPIRES", "LAST USED"}

func adminKeyListCommand(a *app, flags *apiclient.Flags) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the admin keys there are and were; never the keys themselves",
		Long:    "List the admin keys there are and were; never the keys themselves. " + lastUsedLags,
		Example: "  fosite-mcp admin-key list\n  fosite-mcp admin-key list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			if atServer(flags) {
				return a.listServedKeys(c.Context(), flags)
			}
			return orAtServer(a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				keys, err := store.AdminKeys().List(ctx)
				if err != nil {
					return err
				}
				return printItems(&a.Terminal, keys, viewOfAdminKey, adminKeyHead...)
			}))
		},
	}
}

func adminKeyRevokeCommand(a *app, flags *apiclient.Flags) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End an admin key at once and for good",
		Long:    "End an admin key at once and for good. A server that is configured with the key (admin.key) refuses it from then on as well.",
		Example: "  fosite-mcp admin-key revoke deploy",
		RunE: func(c *cobra.Command, args []string) error {
			consequence := fmt.Sprintf("Admin key %s stops working at once and for good; its name can never be used again", args[0])
			if err := a.Confirm(c.Context(), yes, consequence, args[0]); err != nil {
				return err
			}
			if atServer(flags) {
				return a.revokeServedKey(c.Context(), flags, args[0])
			}
			return orAtServer(a.withActor(c.Context(), func(ctx context.Context, store *storage.Store) error {
				err := store.AdminKeys().Revoke(ctx, args[0])
				if errors.Is(err, fosite.ErrNotFound) {
					return apiclient.Instead(err, "there is no admin key %s that works; see fosite-mcp admin-key list", terminal.Printable(args[0]))
				}
				if err != nil {
					return err
				}
				return a.revokedKey(args[0])
			}))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return c
}
