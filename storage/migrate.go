package storage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"fosite-mcp/storage/internal/database"
)

//go:embed migrations
var migrations embed.FS

// versionTable keeps which migrations have run. Its name leaves room for a host application's own.
const versionTable = "fosite_mcp_migrations"

// A Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero: pending
}

// Migrate brings the schema to this version of the package. Any number of processes may call it at once: one
// migrates, the others wait. A schema from a newer version is an error.
func (s *Store) Migrate(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := s.migrate(ctx)
		if err == nil || s.db.Postgres() || attempt == sqliteMigrateAttempts || errors.Is(err, errNewerSchema) {
			return err
		}
		// SQLite has no lock that outlives a transaction. Whoever loses a race meets a table that exists already, or a
		// busy file, changes nothing, and finds nothing left to do the next time.
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt) * 20 * time.Millisecond):
		}
	}
}

// sqliteMigrateAttempts bounds how often a process joins the race for a SQLite file.
const sqliteMigrateAttempts = 10

func (s *Store) migrate(ctx context.Context) error {
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	if err := s.refuseNewer(ctx, provider); err != nil {
		return err
	}
	if err := s.migrateUp(ctx, provider); err != nil {
		if strings.Contains(err.Error(), "already exists") {
			err = fmt.Errorf("%w (the store's tables have plain names: give it a database of its own or, on PostgreSQL, a schema, by search_path in the URL)", err)
		}
		return fmt.Errorf("storage: migrate: %w", err)
	}
	return nil
}

// CheckSchema tells whether the schema is exactly the one this version of the package needs.
func (s *Store) CheckSchema(ctx context.Context) error {
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	if err := s.refuseNewer(ctx, provider); err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("storage: read the schema version: %w", err)
	}
	if pending {
		return errors.New("storage: the database schema is older than this program; call Store.Migrate, or run: fosite-mcp migrate up")
	}
	return nil
}

// Migrations lists every migration this version knows, oldest first. With a schema from a newer version of the package
// the list comes together with an error.
func (s *Store) Migrations(ctx context.Context) ([]Migration, error) {
	provider, err := s.migrator()
	if err != nil {
		return nil, err
	}
	statuses, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("storage: read the schema version: %w", err)
	}
	list := make([]Migration, 0, len(statuses))
	for _, status := range statuses {
		list = append(list, Migration{Version: status.Source.Version, Name: status.Source.Path, AppliedAt: status.AppliedAt})
	}
	return list, s.refuseNewer(ctx, provider)
}

var errNewerSchema = errors.New("storage: the database schema is newer than this program")

func (s *Store) refuseNewer(ctx context.Context, provider *goose.Provider) error {
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("storage: read the schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w: it has version %d, the program knows %d; run a newer fosite-mcp", errNewerSchema, current, target)
	}
	return nil
}

func (s *Store) migrator() (*goose.Provider, error) {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	options := []goose.ProviderOption{goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true)}
	if s.db.Postgres() {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, fmt.Errorf("storage: migrate: %w", err)
	}
	if err := s.db.Err(); err != nil {
		return nil, err
	}
	pool, err := s.db.Host().DB()
	if err != nil {
		return nil, fmt.Errorf("storage: migrate: %w", err)
	}
	provider, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return nil, fmt.Errorf("storage: migrate: %w", err)
	}
	return provider, nil
}

func (s *Store) migrateUp(ctx context.Context, provider *goose.Provider) error {
	if !s.db.Postgres() {
		_, err := provider.Up(ctx)
		return err
	}
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	for _, source := range provider.ListSources() {
		if source.Version <= current {
			continue
		}
		if err := s.applyOnPostgres(ctx, source); err != nil {
			return fmt.Errorf("%s: %w", source.Path, err)
		}
	}
	return nil
}

// advisoryLockKey is a random number that other programs on the same database are unlikely to lock.
const advisoryLockKey = 7_261_590_431_806_447

// applyOnPostgres applies one migration, unless another process has done so. goose's own lock belongs to a session, which
// PgBouncer gives to somebody else after each transaction. This one belongs to the transaction of the migration, so it
// needs no second connection either; the others wait for as long as that takes.
func (s *Store) applyOnPostgres(ctx context.Context, source *goose.Source) error {
	script, err := migrations.ReadFile("migrations/postgres/" + source.Path)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if _, err := tx.Run("SELECT pg_advisory_xact_lock(?)", int64(advisoryLockKey)); err != nil {
			return err
		}
		var applied int
		err := tx.QueryRow("SELECT COUNT(*) FROM "+versionTable+" WHERE version_id = ?", source.Version).Scan(&applied)
		if err != nil || applied > 0 {
			return err
		}
		// As it is, several statements in one: its ? are no placeholders.
		if _, err := tx.Run(string(script)); err != nil {
			return err
		}
		_, err = tx.Run("INSERT INTO "+versionTable+" (version_id, is_applied) VALUES (?, ?)", source.Version, true)
		return err
	})
}
