package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/config"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"gorm.io/gorm"
)

// Commands that work on the database directly open it with one of these: withData for everything that needs the
// tables, withDatabase where an older schema is the subject, and withNewDatabase to make one.

// withNewDatabase runs fn on the configured database, which is made if it is not there.
func (a *app) withNewDatabase(ctx context.Context, fn func(context.Context, *storage.Store) error) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	return withStore(ctx, cfg, fn)
}

// withDatabase runs fn on a database that is there, whatever its schema. A wrong folder must not quietly get an empty
// one.
func (a *app) withDatabase(ctx context.Context, fn func(context.Context, config.Config, *storage.Store) error) error {
	cfg, err := a.config()
	if err == nil {
		err = checkThere(cfg)
	}
	if err != nil {
		return err
	}
	return withStore(ctx, cfg, func(ctx context.Context, store *storage.Store) error { return fn(ctx, cfg, store) })
}

// checkThere refuses a SQLite database that is not there.
func checkThere(cfg config.Config) error {
	if path, ok := cfg.Database.URL.SQLitePath(); ok {
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return noDatabase{path}
		case err != nil:
			return fmt.Errorf("look for the database: %w", err)
		case info.IsDir():
			return fmt.Errorf("there is no database at %s: it is a folder; check database.url", path)
		}
	}
	return nil
}

// noDatabase says that there is no file of a database.
type noDatabase struct{ path string }

func (e noDatabase) Error() string {
	return fmt.Sprintf("there is no database at %s: run this in the server's folder, or give --config", e.path)
}

// orAtServer tells what else can be done where there is no database, for commands that a flag sends to a server.
func orAtServer(err error) error {
	if errors.As(err, new(noDatabase)) {
		return fmt.Errorf("%w, or name a running server with --admin-url and --admin-key-file", err)
	}
	return err
}

// withData is withDatabase for a schema that is exactly this program's.
func (a *app) withData(ctx context.Context, fn func(context.Context, config.Config, *storage.Store) error) error {
	return a.withDatabase(ctx, func(ctx context.Context, cfg config.Config, store *storage.Store) error {
		if err := store.CheckSchema(ctx); err != nil {
			return fromStorage(err)
		}
		return fn(ctx, cfg, store)
	})
}

// withActor is withData for changes, which audit events then ascribe to the person at the shell.
func (a *app) withActor(ctx context.Context, fn func(context.Context, *storage.Store) error) error {
	return a.withData(ctx, func(ctx context.Context, _ config.Config, store *storage.Store) error {
		return fn(audit.WithOrigin(ctx, audit.Origin{Actor: shellActor()}), store)
	})
}

func withStore(ctx context.Context, cfg config.Config, fn func(context.Context, *storage.Store) error) error {
	return withGORM(cfg, func(db *gorm.DB) error { return fn(ctx, storage.New(db)) })
}

func withGORM(cfg config.Config, fn func(*gorm.DB) error) error {
	if err := privatefile.Check(database.Files(cfg)...); err != nil {
		return err
	}
	db, pool, err := database.Open(cfg.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	return fn(db)
}

// shellActor is who audit events name for changes made on the machine itself, with no admin key.
func shellActor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "shell:" + u.Username
	}
	return "shell"
}

// fromProvider is the provider's error without the name of the package.
func fromProvider(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "provider: "))
}

// fromStorage is the storage's error without the name of the package.
func fromStorage(err error) error {
	return apiclient.Instead(err, "%s", strings.TrimPrefix(err.Error(), "storage: "))
}
