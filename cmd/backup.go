package cmd

import (
	"cmp"
	"context"
	"fmt"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"gorm.io/gorm"
)

func backupCommand(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite database while the server runs",
		Long: `Copy the SQLite database to FILE, while the server runs: as it is at one moment. The copy is checked, durable when the
command ends, and readable by its owner alone (0600). FILE appears whole or not at all.

It holds no secret and no token, but what passwords and secrets can be checked with, and who did what. Two things belong to a
backup besides: the system secret, without which no token and no signing key of the copy is of use, and the configuration.

PostgreSQL is backed up with its own tools: the command says how, and exits with 2. To put a backup back: fosite-mcp restore.`,
		Example: "  fosite-mcp backup /var/backups/fosite-mcp-2026-11-26.db\n  fosite-mcp backup backup.db --force --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if cfg.Database.URL.IsPostgres() {
				return terminal.BadUsage("%w", howToDump(cfg.Database.URL, ownerOf(c.Context(), cfg), args[0]))
			}
			if err := checkThere(cfg); err != nil {
				return err
			}
			return withGORM(cfg, func(db *gorm.DB) error { return backUp(c.Context(), &a.Terminal, cfg, db, args[0], force) })
		},
	}
	c.Flags().BoolVar(&force, "force", false, "replace FILE if it is there")
	return c
}

func backUp(ctx context.Context, out *terminal.Terminal, cfg config.Config, db *gorm.DB, file string, force bool) error {
	source, _ := cfg.Database.URL.SQLitePath()
	err := database.Backup(ctx, db, source, file, force, func(bytes int64) { out.Notice("%s written so far", megabytes(bytes)) })
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if err := out.Done(map[string]any{"file": file, "bytes": info.Size()}, "%s is written and checked: %s", terminal.Printable(file), megabytes(info.Size())); err != nil {
		return err
	}
	secret := "the system secret (system_secret)"
	if cfg.SystemSecret == "" {
		secret = filepath.Join(cfg.DataDir, "system.secret")
	}
	out.Notice("keep with it, where nobody else reads it: %s, and the configuration. Without the secret all tokens and signing keys of the backup are lost", terminal.Printable(secret))
	return nil
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// ownerOf is the role that owns the tables; "" if the database does not say. The server's own may be one that changes rows alone.
func ownerOf(ctx context.Context, cfg config.Config) (owner string) {
	_ = withGORM(cfg, func(db *gorm.DB) error {
		return db.WithContext(ctx).Raw(`SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('access_tokens')`).Find(&owner).Error
	})
	return owner
}

// howToDump says which command backs a PostgreSQL database up, as owner. The password is no part of it: every user of the machine sees
// command lines.
func howToDump(url config.DatabaseURL, owner, file string) error {
	if name, isSQLite := strings.CutSuffix(file, ".db"); isSQLite {
		file = name + ".dump"
	}
	command := "pg_dump --format=custom --no-password --file=" + privatefile.ShellWord(file)
	address, query, _ := strings.Cut(url.Reveal(), "?")
	parameters, _ := neturl.ParseQuery(query)
	for _, name := range []string{"sslmode", "sslrootcert", "sslcert", "sslkey"} { // or the dump would trust any server
		if value := parameters.Get(name); value != "" {
			command = "PG" + strings.ToUpper(name) + "=" + privatefile.ShellWord(value) + " " + command
			parameters.Del(name) // pgconn would read the files
		}
	}
	if settings, err := pgconn.ParseConfig(address + "?" + parameters.Encode()); err == nil {
		for _, flag := range [][2]string{{"host", settings.Host}, {"port", fmt.Sprint(settings.Port)}, {"username", cmp.Or(owner, settings.User)}, {"dbname", settings.Database}} {
			if flag[1] != "" {
				command += " --" + flag[0] + "=" + privatefile.ShellWord(flag[1])
			}
		}
	}
	return fmt.Errorf("this database is backed up with PostgreSQL's own tools, as the role that owns the tables, for instance:\n  umask 077; %s\n"+
		"The password comes from a file: PGPASSFILE or ~/.pgpass (mode 0600). Keep the system secret (system_secret) and the configuration with it", command)
}
