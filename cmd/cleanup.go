package cmd

import (
	"context"
	"errors"
	"fmt"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/spf13/cobra"
)

func cleanUpCommand(a *app) *cobra.Command {
	var batch int
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Delete expired rows now",
		Long: `Delete what has expired, in small batches and beside a running server. The server does this by itself every few
minutes; the command is for catching up after a long pause. Interrupted, it loses nothing.`,
		Example: "  fosite-mcp cleanup\n  fosite-mcp cleanup --batch 1000 --json",
		RunE: func(c *cobra.Command, _ []string) error {
			if batch < 0 || batch > 100_000 {
				return terminal.BadUsage("--batch must be between 0 and 100000; 0 leaves it to the database")
			}
			return a.withData(c.Context(), func(ctx context.Context, _ config.Config, store *storage.Store) error {
				return cleanUp(ctx, &a.Terminal, store, batch)
			})
		},
	}
	c.Flags().IntVar(&batch, "batch", 0, "rows per statement; small batches keep a running server smooth; 0: 50 on SQLite, 500 on PostgreSQL")
	return c
}

func cleanUp(ctx context.Context, out *terminal.Terminal, store *storage.Store, batch int) error {
	deleted := map[string]int64{}
	var total int64
	_, err := store.CleanUp(ctx, storage.CleanUp{Batch: batch, Progress: func(table string, n int64) {
		deleted[table] += n
		if total += n; total%10_000 < n {
			out.Notice("%d rows deleted so far", total)
		}
	}})
	if errors.Is(err, storage.ErrCleaningElsewhere) {
		return errors.New("another process, the server perhaps, is cleaning up, or was stopped in the middle of it; it keeps the right to do so for a minute: try again then if you want to be sure")
	}
	if errors.Is(err, context.Canceled) {
		return errors.Join(printCleaned(out, deleted, total), errors.New("interrupted; run it again to go on"))
	}
	if err != nil {
		return fmt.Errorf("the clean-up failed after %d rows; run it again to go on: %w", total, fromStorage(err))
	}
	return printCleaned(out, deleted, total)
}

func printCleaned(out *terminal.Terminal, deleted map[string]int64, total int64) error {
	if out.JSON {
		return out.Encode(map[string]any{"deleted": deleted, "total": total})
	}
	_, err := fmt.Fprintf(out.Stdout, "%d expired rows deleted\n", total)
	return err
}
