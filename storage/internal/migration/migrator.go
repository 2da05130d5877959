// Package migration makes the store's tables, and brings those of earlier versions up to date. [New] makes a Migrator.
//
// One set of templates serves both engines and all names. Each part has its own steps, and is made or left alone as a whole.
package migration

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ErrNewer says that a newer version of the program has migrated the database.
var ErrNewer = errors.New("storage: the database schema is newer than this program")

// errForeign ends the error about a table that is somebody else's.
var errForeign = errors.New("nothing was changed. Open the store's *gorm.DB with a NamingStrategy that has a TablePrefix " +
	`("oauth_", or "oauth." for a schema on PostgreSQL), or give it a database of its own`)

// A Migrator migrates the tables of some parts of the store.
type Migrator struct {
	db      *gorm.DB
	dialect dialect
	parts   []model.Part
	steps   []Step
	err     error // why nothing can be done
}

// New makes a Migrator for parts, or for all parts if none is named. Names of tables are those of db's NamingStrategy. A
// db that has failed makes every call fail with its error.
func New(db *gorm.DB, parts ...model.Part) *Migrator {
	m := newMigrator(db.Name(), db.NamingStrategy, parts)
	m.db, m.err = db, cmp.Or(db.Error, m.err)
	return m
}

func newMigrator(dialectName string, namer schema.Namer, parts []model.Part) *Migrator {
	if len(parts) == 0 {
		parts = model.Parts()
	}
	m := &Migrator{parts: parts}
	m.dialect, m.err = newDialect(dialectName, namer)
	for _, part := range parts {
		if !slices.Contains(model.Parts(), part) {
			m.err = fmt.Errorf("storage: there is no part %q; the parts are tokens, clients, audit, people", part)
		}
	}
	for _, step := range allSteps {
		if slices.Contains(parts, step.part) {
			m.steps = append(m.steps, step)
		}
	}
	return m
}

// List lists all steps by version, and when they were applied. With a schema from a newer version of the program the list comes together with
// [ErrNewer].
func (m *Migrator) List(ctx context.Context) ([]Step, error) {
	state, err := m.read(m.session(ctx))
	if err != nil {
		return nil, err
	}
	all := slices.Clone(m.steps)
	for i := range all {
		all[i].AppliedAt = state.appliedAt(all[i])
	}
	return all, state.newer()
}

// Up applies what is missing, all of it or nothing. Any number of processes may call it at once: one migrates, the others
// wait.
func (m *Migrator) Up(ctx context.Context) error {
	if m.dialect.postgres {
		if database.IsTransaction(m.db) {
			return m.up(ctx) // whose owner alone can begin again
		}
		return database.Repeat(ctx, func() error { return m.up(ctx) })
	}
	for attempt := 1; ; attempt++ {
		err := m.up(ctx)
		if err == nil || attempt == sqliteAttempts || errors.Is(err, ErrNewer) || errors.Is(err, errForeign) || m.err != nil {
			return err
		}
		// SQLite has no lock that outlives a transaction. Whoever loses a race meets a busy file or an outdated snapshot,
		// changes nothing, and finds nothing left to do the next time.
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt) * 20 * time.Millisecond):
		}
	}
}

// sqliteAttempts bounds how often a process joins the race for a SQLite file.
const sqliteAttempts = 10

// advisoryLockKey is a random number that other programs on the same database are unlikely to lock.
const advisoryLockKey = 7_261_590_431_806_447

func (m *Migrator) up(ctx context.Context) error {
	state, pending, err := m.plan(m.session(ctx))
	if err != nil || len(pending) == 0 {
		return err
	}
	var options []*sql.TxOptions
	if m.dialect.postgres { // whatever the server's default: what others did while this one waited must be seen
		options = append(options, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	}
	return m.session(ctx).Transaction(func(tx *gorm.DB) error {
		if !m.dialect.postgres {
			// SQLite locks with the first write, and only waits for the lock before the first read.
			write := m.dialect.createVersions()
			if state.tables[m.dialect.versions()] != nil {
				write = "DELETE FROM " + m.dialect.quotedVersions() + " WHERE FALSE"
			}
			if err := run(tx, write); err != nil {
				return fmt.Errorf("storage: migrate: %w", err)
			}
		}
		return m.UpTx(ctx, tx)
	}, options...)
}

// UpTx is [Migrator.Up] in a transaction of the caller's.
func (m *Migrator) UpTx(ctx context.Context, tx *gorm.DB) error {
	if m.err != nil {
		return m.err
	}
	if tx.Error == nil && !database.IsTransaction(tx) {
		return errors.New("storage: migrate: MigrateTx was given a *gorm.DB that is in no transaction; give it the one that db.Transaction or db.Begin has made")
	}
	tx = database.Quiet(tx).WithContext(ctx)
	if m.dialect.postgres {
		// The lock belongs to the transaction and not to the session, which PgBouncer gives to somebody else after each
		// transaction. The others wait for as long as that takes.
		if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", int64(advisoryLockKey)).Error; err != nil {
			return fmt.Errorf("storage: migrate: %w", err)
		}
	}
	state, pending, err := m.plan(tx)
	if err != nil || len(pending) == 0 {
		return err
	}
	records := []string{m.dialect.createVersions()}
	for _, step := range allSteps {
		if state.recorded[step.Version].IsZero() && !state.appliedAt(step).IsZero() {
			records = append(records, m.dialect.splitLegacy(step))
		}
	}
	if err := run(tx, records...); err != nil {
		return fmt.Errorf("storage: migrate: record what was applied before: %w", err)
	}
	about := circumstances{
		Clients:      state.started(model.Clients),
		Tokens:       state.started(model.Tokens) || slices.Contains(m.parts, model.Tokens),
		ClientsFirst: slices.ContainsFunc(allSteps, func(s Step) bool { return s.Name == clientTriggers && !state.appliedAt(s).IsZero() }),
	}
	for _, step := range pending {
		statements, err := m.dialect.statements(step, about)
		if err == nil {
			err = run(tx, append(statements, m.dialect.insertVersion(step.Version))...)
		}
		if err != nil {
			return fmt.Errorf("storage: migrate: %s: %w", step.Name, err)
		}
	}
	return nil
}

func run(tx *gorm.DB, statements ...string) error {
	for _, statement := range statements {
		if err := tx.Exec(statement).Error; err != nil {
			return err
		}
	}
	return nil
}

// plan reads the database and tells which steps to apply. One that must not be migrated is an error.
func (m *Migrator) plan(tx *gorm.DB) (*state, []Step, error) {
	state, err := m.read(tx)
	if err == nil {
		err = state.newer()
	}
	for _, part := range m.parts {
		if err == nil {
			err = m.foreignTable(state, part)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return state, m.pending(state), nil
}

// pending are the steps that have not been applied.
func (m *Migrator) pending(state *state) []Step {
	return slices.DeleteFunc(slices.Clone(m.steps), func(s Step) bool { return !state.appliedAt(s).IsZero() })
}

// foreignTable is an error if there is a table that has the name of one of the part's tables and is not the store's.
func (m *Migrator) foreignTable(state *state, part model.Part) error {
	if state.started(part) {
		return nil
	}
	for _, table := range m.dialect.tables(part) {
		if state.tables[table] != nil {
			return fmt.Errorf("storage: there is a table %s that is not the store's; %w", table, errForeign)
		}
	}
	return nil
}

// tables are the host's names of the tables of parts.
func (d dialect) tables(parts ...model.Part) (names []string) {
	for _, table := range model.Models(parts...) {
		names = append(names, d.names[model.OwnName(table)])
	}
	return names
}
