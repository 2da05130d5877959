package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/spf13/cobra"
)

func (a *app) migrateCommand() *cobra.Command {
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
					if err := store.Migrate(ctx); err != nil {
						return err
					}
					if pending := firstPending(before); pending < 0 {
						a.notice("nothing to do, the schema is up to date")
					} else {
						a.notice("%d of %d migrations applied", len(before)-pending, len(before))
					}
					return a.printMigrations(ctx, store)
				})
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show which migrations have been applied", Example: "  fosite-mcp migrate status --json",
			RunE: func(c *cobra.Command, _ []string) error {
				return a.withDatabase(c.Context(), func(ctx context.Context, _ config.Config, store *storage.Store) error {
					return a.printMigrations(ctx, store)
				})
			},
		},
	)
	return c
}

// firstPending is the index of the oldest migration that has not been applied, or -1.
func firstPending(migrations []storage.Migration) int {
	return slices.IndexFunc(migrations, func(m storage.Migration) bool { return m.AppliedAt.IsZero() })
}

func (a *app) printMigrations(ctx context.Context, store *storage.Store) error {
	migrations, err := store.Migrations(ctx)
	if migrations == nil {
		return err
	}
	// The schema may be newer than this program: what is known of it, then that.
	return errors.Join(a.printList(migrations), err)
}

func (a *app) printList(migrations []storage.Migration) error {
	if a.json {
		type item struct {
			Version   int64      `json:"version"`
			Name      string     `json:"name"`
			AppliedAt *time.Time `json:"applied_at"`
		}
		items := make([]item, 0, len(migrations))
		for _, m := range migrations {
			i := item{Version: m.Version, Name: m.Name}
			if !m.AppliedAt.IsZero() {
				i.AppliedAt = &m.AppliedAt
			}
			items = append(items, i)
		}
		return json.NewEncoder(a.stdout).Encode(map[string]any{"items": items})
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED")
	for _, m := range migrations {
		applied := "pending"
		if !m.AppliedAt.IsZero() {
			applied = m.AppliedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", m.Version, m.Name, applied)
	}
	return table.Flush()
}
