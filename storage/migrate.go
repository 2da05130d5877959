package storage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
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
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	if err := s.refuseNewer(ctx, provider); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
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
		return errors.New("storage: the database schema is older than this program; run: fosite-mcp migrate up")
	}
	return nil
}

// Migrations lists every migration this version knows, oldest first.
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
	return list, nil
}

func (s *Store) refuseNewer(ctx context.Context, provider *goose.Provider) error {
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("storage: read the schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("storage: the database schema (version %d) is newer than this program (version %d); run a newer fosite-mcp", current, target)
	}
	return nil
}

func (s *Store) migrator() (*goose.Provider, error) {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	options := []goose.ProviderOption{goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true)}
	if s.db.postgres {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("storage: migrate: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, fmt.Errorf("storage: migrate: %w", err)
	}
	provider, err := goose.NewProvider(dialect, s.db.pool, files, options...)
	if err != nil {
		return nil, fmt.Errorf("storage: migrate: %w", err)
	}
	return provider, nil
}
