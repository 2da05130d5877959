package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/migration"
	"fosite-mcp/storage/internal/model"
)

// A Part is a group of the store's tables. A store with [WithClients] has PartTokens alone, any other one has all.
type Part = model.Part

const (
	PartTokens  = model.Tokens  // tokens, codes, grants, used assertions, and revocations of a host's clients
	PartClients = model.Clients // clients and their secrets
	PartAudit   = model.Audit   // audit events, admin keys, idempotency keys, settings
	PartPeople  = model.People  // local accounts, consents, logins
)

// Models returns the models of the tables of parts, or of all parts if none is named, for GORM's AutoMigrate and for tools
// that read models, such as Atlas. They give the same tables as [Store.Migrate]. Use one of the two: on SQLite, AutoMigrate
// rebuilds tables that Migrate has made. The audit part needs a first row; [Store.CheckSchema] says which.
func Models(parts ...Part) []any { return model.Models(parts...) }

// A Migration is one step of the schema.
type Migration struct {
	Version   int64     // 1001 and up for tokens, 2001 for clients, 3001 for audit, 4001 for people
	Name      string    // such as "tokens/00001_init.sql"
	AppliedAt time.Time // zero: pending
}

// Migrate brings the schema to this version of the package, wholly or not at all. Any number of processes may call it at once:
// one migrates, the others wait. A schema from a newer version is an error. So is a table of somebody else's that has the name
// of one of the store's.
func (s *Store) Migrate(ctx context.Context) error {
	return s.migrator(ctx).Up(ctx)
}

// MigrateTx is [Store.Migrate] in a transaction of the caller's, who commits it or rolls it back. A *gorm.DB that is in no
// transaction is an error.
func (s *Store) MigrateTx(ctx context.Context, tx *gorm.DB) error {
	return s.migrator(ctx).UpTx(ctx, tx)
}

// CheckSchema tells whether the schema is exactly the one this version of the package needs: which tables there are, and
// which columns they have. A host's AutoMigrate with a model of the same name, for instance, changes a table.
func (s *Store) CheckSchema(ctx context.Context) error {
	return s.migrator(ctx).Check(ctx)
}

// Migrations lists every migration this version knows, by version. With a schema from a newer version of the package
// the list comes together with an error.
func (s *Store) Migrations(ctx context.Context) ([]Migration, error) {
	steps, err := s.migrator(ctx).List(ctx)
	var list []Migration
	for _, step := range steps {
		list = append(list, Migration{step.Version, step.Name, step.AppliedAt})
	}
	return list, err
}

// MigrationSQL is the SQL of all migrations of parts, or of all parts if none is named, for tools that migrate by
// themselves. dialect is sqlite or postgres; tablePrefix is that of the NamingStrategy. What [Store.Migrate] records is in
// it, so that Migrate finds nothing to do. It is one transaction: run it with psql -v ON_ERROR_STOP=1 -f or sqlite3 -bail, which
// stop at the first error.
func MigrationSQL(dialect, tablePrefix string, parts ...Part) (string, error) {
	return migration.SQL(dialect, schema.NamingStrategy{TablePrefix: tablePrefix}, parts...)
}

func (s *Store) migrator(ctx context.Context) *migration.Migrator {
	db := s.db.Host()
	if s.db.Err() != nil || database.InTransaction(ctx) {
		db = s.db.Read(ctx).DB // with the reason why it cannot be used
	}
	if s.external != nil {
		return migration.New(db, PartTokens)
	}
	return migration.New(db)
}
