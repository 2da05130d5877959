// Package migration makes the store's tables, and brings those of earlier versions up to date. [New] makes a Migrator.
//
// One set of templates serves both engines and all names. Each part has its own steps, and is made or left alone as a whole.
package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ErrNewer says that a newer version of the program has migrated the database.
var ErrNewer = errors.New("storage: the database schema is newer than this program")

// A Migrator migrates the tables of some parts of the store.
type Migrator struct {
	db      *gorm.DB
	dialect dialect
	parts   []model.Part
	steps   []Step
	err     error // why nothing can be done
}

// New makes a Migrator for parts, or for all parts if none is named. Names of tables are those of db's NamingStrategy.
func New(db *gorm.DB, parts ...model.Part) *Migrator {
	if len(parts) == 0 {
		parts = model.Parts()
	}
	m := &Migrator{db: db, parts: parts}
	if m.dialect, m.err = newDialect(db.Name(), db.NamingStrategy); m.err == nil {
		m.steps, m.err = steps(parts)
	}
	return m
}

// List lists all steps by version, and when they were applied. With a schema from a newer version of the program the list comes together with
// [ErrNewer].
func (m *Migrator) List(ctx context.Context) ([]Step, error) {
	state, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(m.steps)
	for i := range all {
		all[i].AppliedAt = state.applied[all[i].Version]
	}
	return all, state.newer
}

// Up applies what is missing, all of it or nothing. Any number of processes may call it at once: one migrates, the others
// wait.
func (m *Migrator) Up(ctx context.Context) error {
	if m.dialect.postgres {
		if inTransaction(m.db) {
			return m.up(ctx) // whose owner alone can begin again
		}
		return database.Repeat(ctx, func() error { return m.up(ctx) })
	}
	for attempt := 1; ; attempt++ {
		err := m.up(ctx)
		if err == nil || attempt == sqliteAttempts || isFinal(err) || m.err != nil {
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

func isFinal(err error) bool {
	var foreign *foreignTableError
	return errors.Is(err, ErrNewer) || errors.As(err, &foreign)
}

func (m *Migrator) up(ctx context.Context) error {
	state, err := m.read(ctx)
	if err != nil {
		return err
	}
	if err := m.refuse(state); err != nil || len(m.pending(state)) == 0 {
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
	if tx.Error == nil && !inTransaction(tx) {
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
	state, err := m.readIn(tx)
	if err != nil {
		return err
	}
	if err := m.refuse(state); err != nil {
		return err
	}
	pending := m.pending(state)
	if len(pending) == 0 {
		return nil
	}
	if err := run(tx, append([]string{m.dialect.createVersions()}, m.dialect.splitLegacy(state.legacy)...)...); err != nil {
		return fmt.Errorf("storage: migrate: record what was applied before: %w", err)
	}
	for _, step := range pending {
		statements, err := m.dialect.statements(step, situation{Clients: state.started(model.Clients)})
		if err == nil {
			err = run(tx, append(statements, m.dialect.insertVersion(step.Version))...)
		}
		if err != nil {
			return fmt.Errorf("storage: migrate: %s: %w", step.Name, err)
		}
	}
	return nil
}

func inTransaction(db *gorm.DB) bool {
	_, ok := db.Statement.ConnPool.(gorm.TxCommitter)
	return ok
}

func run(tx *gorm.DB, statements ...string) error {
	for _, statement := range statements {
		if err := tx.Exec(statement).Error; err != nil {
			return err
		}
	}
	return nil
}

// pending are the steps that have not been applied.
func (m *Migrator) pending(state *state) []Step {
	return slices.DeleteFunc(slices.Clone(m.steps), func(s Step) bool { return !state.applied[s.Version].IsZero() })
}

// splitLegacy records for each part what was recorded for all of them, for the parts that have such a step. An earlier
// program then finds the schema newer than itself.
func (d dialect) splitLegacy(legacy []int64) []string {
	all, _ := steps(model.Parts())
	var statements []string
	for _, step := range all {
		if slices.Contains(legacy, step.legacy()) {
			statements = append(statements, fmt.Sprintf("INSERT INTO %[1]s (version_id, is_applied, tstamp) SELECT %[2]d, is_applied, tstamp FROM %[1]s WHERE version_id = %[3]d",
				d.quotedVersions(), step.Version, step.legacy()))
		}
	}
	return statements
}

// refuse tells why a database in this state is not migrated.
func (m *Migrator) refuse(state *state) error {
	if state.newer != nil {
		return state.newer
	}
	for _, part := range m.parts {
		if table := m.foreignTable(state, part); table != "" {
			return &foreignTableError{table}
		}
	}
	return nil
}

// foreignTable is a table that has the name of one of the part's tables and is not the store's, or empty.
func (m *Migrator) foreignTable(state *state, part model.Part) string {
	if state.started(part) {
		return ""
	}
	for _, table := range m.dialect.tables(part) {
		if state.tables[table] != nil {
			return table
		}
	}
	return ""
}

type foreignTableError struct{ table string }

func (e *foreignTableError) Error() string {
	return fmt.Sprintf("storage: there is a table %s that is not the store's; nothing was changed. Open the store's *gorm.DB with a "+
		`NamingStrategy that has a TablePrefix ("oauth_", or "oauth." for a schema on PostgreSQL), or give it a database of its own`, e.table)
}

// tables are the host's names of a part's tables.
func (d dialect) tables(part model.Part) []string {
	var names []string
	for _, table := range model.Models(part) {
		names = append(names, model.TableName(d.namer, table))
	}
	return names
}

// allTables are those of the parts that the Migrator migrates.
func (m *Migrator) allTables() []string {
	names := map[string]bool{m.dialect.versions(): true}
	for _, part := range m.parts {
		for _, table := range m.dialect.tables(part) {
			names[table] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
