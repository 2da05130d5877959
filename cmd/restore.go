package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"
	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/spf13/cobra"
	"gorm.io/gorm"
)

// restoration is what restore was told.
type restoration struct {
	from, auditCopy string
	yes             bool
	ignoreServers   bool // that seem to run
}

func restoreCommand(a *app) *cobra.Command {
	var r restoration
	c := &cobra.Command{
		Use:   "restore",
		Short: "Make a backup that was put back safe to serve",
		Long: `A backup brings back what had ended since it was made: tokens, secrets, clients and accounts. With the server stopped, and
before it starts again, this ends every token, refresh token, code and login of the database. Clients get new tokens by
themselves, people log in again.

--from FILE first puts a backup of a SQLite database in its place, and keeps what was there under another name. A PostgreSQL
database is put back with pg_restore before.

--audit-copy FILE lists what was changed after the backup was made, and with which command to do it again. FILE is what
audit --follow --json has written, or audit --all --csv: see "Restore from a backup" in docs/operations.md.`,
		Example: `  fosite-mcp restore --from backup.db --audit-copy audit.ndjson
  pg_restore --clean --if-exists --dbname=fosite_mcp fosite_mcp.dump && fosite-mcp restore --audit-copy audit.ndjson`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if cfg.Database.URL.IsPostgres() && r.from != "" {
				return terminal.BadUsage("--from is for SQLite; put a dump of PostgreSQL back with pg_restore, and then run this without --from")
			}
			return r.run(c.Context(), a, cfg)
		},
	}
	c.Flags().StringVar(&r.from, "from", "", "`file` that fosite-mcp backup has made (default: the database is in its place)")
	c.Flags().StringVar(&r.auditCopy, "audit-copy", "", "`file` with audit events, as audit --json or --csv prints them")
	c.Flags().BoolVar(&r.ignoreServers, "ignore-connections", false, "do it though servers have connections to PostgreSQL: those of a pooler, which outlive their servers")
	c.Flags().BoolVar(&r.yes, "yes", false, "do it without asking")
	return c
}

func (r *restoration) run(ctx context.Context, a *app, cfg config.Config) error {
	if r.auditCopy != "" { // a mistake in it must not come to light when all has ended
		if err := eachCopied(r.auditCopy, func(*auditView) error { return nil }); err != nil {
			return err
		}
	}
	if cfg.Database.URL.IsPostgres() && !r.ignoreServers {
		if err := withGORM(cfg, func(db *gorm.DB) error { return refuseServers(ctx, db) }); err != nil {
			return err
		}
	}
	consequence := "This ends every token and every login of the database " + cfg.Database.URL.String()
	if r.from != "" {
		consequence += ", and puts " + r.from + " in its place"
	}
	if err := a.Confirm(ctx, r.yes, consequence, "restore"); err != nil {
		return err
	}
	ctx = audit.WithOrigin(ctx, audit.Origin{Actor: shellActor()})
	var found restored
	work := func(store *storage.Store) (err error) {
		found, err = r.end(ctx, store)
		return err
	}
	kept := ""
	if r.from == "" {
		if err := a.withData(ctx, func(_ context.Context, _ config.Config, store *storage.Store) error { return work(store) }); err != nil {
			return err
		}
	} else {
		target, _ := cfg.Database.URL.SQLitePath()
		if err := privatefile.Check(database.Files(cfg)...); err != nil {
			return err
		}
		var err error
		kept, err = database.PutBack(ctx, r.from, target, time.Now(), func(db *gorm.DB) error {
			store := storage.New(db)
			if err := migrateBackup(ctx, store, r.from); err != nil {
				return err
			}
			return work(store)
		})
		if err != nil {
			return err
		}
	}
	return found.print(&a.Terminal, r, kept)
}

// refuseServers fails while servers are connected to a database on PostgreSQL: they would serve what the backup has brought back. Of
// SQLite's, which has a lock, [database.PutBack] knows by itself.
func refuseServers(ctx context.Context, db *gorm.DB) error {
	from, err := database.ConnectedFrom(ctx, db)
	if err != nil {
		return fmt.Errorf("look for servers that are running: %w", err)
	}
	if len(from) == 0 {
		return nil
	}
	return fmt.Errorf("servers, or other commands of fosite-mcp, are connected to this database (from %s): stop every one, and then restore. "+
		"Connections of a pooler outlive their servers: if these are such, add --ignore-connections", strings.Join(from, ", "))
}

// migrateBackup brings a backup of an earlier version up to date. It refuses a database of another program.
func migrateBackup(ctx context.Context, store *storage.Store, file string) error {
	migrations, err := store.Migrations(ctx)
	if err != nil {
		return fromStorage(err)
	}
	if len(database.Pending(migrations)) == len(migrations) {
		return fmt.Errorf("%s is no database of fosite-mcp; check --from", file)
	}
	if err := store.Migrate(ctx); err != nil {
		return fromStorage(err)
	}
	return nil
}

// restored is what there is to tell of a database after a restore.
type restored struct {
	lost        *lostEvents // nil: no copy was given
	signingKeys bool
}

// end compares the database with the copy, and then ends everything in it.
func (r *restoration) end(ctx context.Context, store *storage.Store) (found restored, err error) {
	if r.auditCopy != "" {
		if found.lost, err = compare(ctx, store.Audit(), r.auditCopy); err != nil {
			return found, err
		}
	}
	keys, err := provider.ListSigningKeys(ctx, store)
	if err != nil {
		return found, err
	}
	found.signingKeys = len(keys) > 0
	return found, store.EndAfterRestore(ctx)
}

func (f *restored) print(out *terminal.Terminal, r *restoration, kept string) error {
	if out.JSON {
		result := map[string]any{"tokens_ended": true, "logins_ended": true}
		if kept != "" {
			result["kept"] = kept
		}
		if f.lost != nil {
			result["items"], result["tokens_revoked_since"] = f.lost.items, f.lost.revocations
			result["events_since"], result["events_missing"], result["last_event"] = f.lost.count, f.lost.missing, f.lost.last
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	} else if f.lost != nil && len(f.lost.items) > 0 {
		t := out.NewTable("TIME", "ACTOR", "ACTION", "TARGET", "CHANGED", "DO IT AGAIN")
		for _, item := range f.lost.items {
			t.Row(terminal.Time(item.Time), item.Actor, item.Action, item.Target, item.Changed, item.Command)
		}
		if err := t.Close(); err != nil {
			return err
		}
	}
	if kept != "" {
		out.Notice("what was there is kept: %s", terminal.Printable(kept))
	}
	out.Notice("every token, refresh token, code and login has ended; clients get new tokens, people log in again")
	if f.lost == nil {
		out.Notice("secrets, clients, accounts, consents and admin keys that had ended since the backup are back: end them again. --audit-copy FILE lists them")
	} else {
		f.lost.notice(out)
	}
	if f.signingKeys {
		out.Notice("gateways that verify JWTs by themselves take those issued since the backup until they expire: end them with: fosite-mcp key rotate --now")
	}
	return nil
}

// notice says how far the copy reaches.
func (l *lostEvents) notice(out *terminal.Terminal) {
	out.Notice("the copy has %d events that the backup lacks: %d changes, listed above, and %d revocations of tokens, which have ended; it ends with event %d of %s, and says nothing of what came after",
		l.count, len(l.items), l.revocations, l.last, terminal.Time(l.lastTime))
	for _, gap := range l.missing {
		out.Notice("the events %d to %d are in neither: nobody knows what changed there", gap[0], gap[1])
	}
	if len(l.items) > 0 {
		out.Notice("start the server, and do the %d changes again in this order", len(l.items))
	}
}
