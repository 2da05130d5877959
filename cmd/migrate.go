package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/spf13/cobra"
)

func migrateCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "migrate",
		Short:   "Bring the database schema up to date",
		Long:    `The server migrates at start by itself; these commands are for whoever wants to do it beforehand.`,
		Example: "  fosite-mcp migrate status\n  fosite-mcp migrate up",
	}
	c.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Apply what is missing", Example: "  fosite-mcp migrate up",
			RunE: func(c *cobra.Command, _ []string) error {
				return a.withNewDatabase(c.Context(), func(ctx context.Context, store *storage.Store) error {
					before, err := store.Migrations(ctx)
					if err != nil {
						return err
					}
					pending := database.Pending(before)
					if err := database.Migrate(ctx, store, len(pending)); err != nil {
						return err
					}
					if len(pending) == 0 {
						a.Notice("nothing to do, the schema is up to date")
					} else {
						a.Notice("%d of %d migrations applied", len(pending), len(before))
					}
					return printMigrations(ctx, &a.Terminal, store)
				})
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show which migrations have been applied", Example: "  fosite-mcp migrate status --json",
			Long: "Show which migrations have been applied. It fails (exit 1) when some are pending, and when the schema is newer than this program.",
			RunE: func(c *cobra.Command, _ []string) error {
				return a.withDatabase(c.Context(), func(ctx context.Context, _ config.Config, store *storage.Store) error {
					return migrationStatus(ctx, &a.Terminal, store)
				})
			},
		},
		migrateSQLCommand(a),
	)
	return c
}

func migrateSQLCommand(a *app) *cobra.Command {
	var dialect, prefix string
	var parts []string
	c := &cobra.Command{
		Use:   "sql",
		Short: "Print the SQL of the schema",
		Long: `For teams that migrate with a tool of their own. It makes the tables in a database that has none of them yet, and
records that, so that this version finds nothing to do. It needs no database and no configuration.

The SQL is one transaction. Run it so that it stops at the first error, and nothing is left of it then: with
"psql -v ON_ERROR_STOP=1 -f schema.sql" or "sqlite3 -bail fosite-mcp.db < schema.sql". A tool that begins a transaction by
itself needs neither the BEGIN nor the COMMIT.

A program with storage.New needs all parts; one with storage.WithClients needs tokens.`,
		Example: "  fosite-mcp migrate sql > schema.sql\n  fosite-mcp migrate sql --dialect postgres --table-prefix oauth_ --part tokens",
		RunE: func(*cobra.Command, []string) error {
			named := make([]storage.Part, 0, len(parts))
			for _, part := range parts {
				named = append(named, storage.Part(part))
			}
			if !tablePrefix.MatchString(prefix) {
				return terminal.BadUsage("--table-prefix %q must be letters, digits and underscores, with a dot at the end if it names a schema", prefix)
			}
			script, err := storage.MigrationSQL(dialect, prefix, named...)
			if err != nil {
				return terminal.BadUsage("%w", fromStorage(err))
			}
			script = fmt.Sprintf("-- Tables of fosite-mcp %s.\n\n%s", programVersion(), script)
			if a.JSON {
				return a.Encode(map[string]string{"sql": script})
			}
			_, err = fmt.Fprint(a.Stdout, script)
			return err
		},
	}
	c.Flags().StringVar(&dialect, "dialect", "sqlite", "sqlite or postgres")
	c.Flags().StringVar(&prefix, "table-prefix", "", `the TablePrefix of the program's NamingStrategy, such as "oauth_"; "oauth." is a schema`)
	c.Flags().StringSliceVar(&parts, "part", nil, "tokens, clients, audit, people (default: all)")
	return c
}

var tablePrefix = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*\.?)?$`)

// migrationStatus prints the migrations, and is an error unless all of them have been applied.
func migrationStatus(ctx context.Context, out *terminal.Terminal, store *storage.Store) error {
	if err := printMigrations(ctx, out, store); err != nil {
		return err
	}
	migrations, err := store.Migrations(ctx)
	if pending := database.Pending(migrations); err == nil && len(pending) > 0 {
		err = fmt.Errorf("%d of %d migrations are pending: run fosite-mcp migrate up, or start the server as a role that may", len(pending), len(migrations))
	}
	return err
}

func printMigrations(ctx context.Context, out *terminal.Terminal, store *storage.Store) error {
	migrations, err := store.Migrations(ctx)
	if migrations == nil {
		return err
	}
	// When the schema is newer than this program there are both: the migrations that it knows, and the error.
	return errors.Join(printItems(out, migrations, viewOfMigration, "VERSION", "NAME", "APPLIED"), err)
}

// migrationView is a migration as --json shows it.
type migrationView struct {
	Version   int64      `json:"version"`
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"applied_at"`
}

func viewOfMigration(m storage.Migration) migrationView {
	return migrationView{Version: m.Version, Name: m.Name, AppliedAt: optional(m.AppliedAt)}
}

func (v migrationView) cells() []string {
	return []string{fmt.Sprint(v.Version), v.Name, cmp.Or(terminal.Time(v.AppliedAt), "pending")}
}
