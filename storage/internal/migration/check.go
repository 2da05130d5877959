package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/model"
)

// Check tells whether the tables are exactly those that this version of the program needs, whoever has made them: the
// store's own migrations, or AutoMigrate with its models.
func (m *Migrator) Check(ctx context.Context) error {
	state, err := m.read(m.session(ctx))
	if err == nil {
		err = state.newer()
	}
	if err != nil {
		return err
	}
	for _, part := range m.parts {
		foreign := m.foreignTable(state, part)
		if foreign == nil && slices.ContainsFunc(m.pending(state), func(step Step) bool { return step.part == part }) {
			return errors.New("storage: the database schema is older than this program; call Store.Migrate, or run: fosite-mcp migrate up")
		}
		if err := m.checkTables(state, part); err != nil {
			if foreign != nil {
				err = fmt.Errorf("%w; %w", err, foreign)
			}
			return err
		}
	}
	return m.checkChain(ctx)
}

// checkChain looks for the one row that the audit part begins with, which AutoMigrate does not make.
func (m *Migrator) checkChain(ctx context.Context) error {
	if !slices.Contains(m.parts, model.Audit) {
		return nil
	}
	var chains int64
	if err := m.session(ctx).Model(&model.AuditChain{}).Where("chain = ?", "main").Count(&chains).Error; err != nil {
		return fmt.Errorf("storage: read the schema: %w", err)
	}
	if chains == 0 {
		return fmt.Errorf("storage: the table %[1]s is empty; begin the chain: INSERT INTO %[2]s (chain, last_id, last_hash, pruned_id, pruned_hash) "+
			"VALUES ('main', 0, %[3]s, 0, %[3]s)", m.dialect.names["audit_chain"], m.dialect.table("audit_chain"), m.dialect.zeros(32))
	}
	return nil
}

// checkTables compares the columns of a part's tables with its models.
func (m *Migrator) checkTables(state *state, part model.Part) error {
	for _, table := range model.Models(part) {
		parsed, err := schema.Parse(table, &sync.Map{}, m.dialect.namer)
		if err != nil {
			return err
		}
		columns := state.tables[parsed.Table]
		if columns == nil {
			return fmt.Errorf("storage: there is no table %s", parsed.Table)
		}
		for _, name := range parsed.DBNames {
			if err := m.checkColumn(parsed, name, columns); err != nil {
				return fmt.Errorf("%w; %s", err, whoChanged)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(columns)) {
			if parsed.FieldsByDBName[name] == nil {
				return fmt.Errorf("storage: the table %s has a column %s, which is not the store's; %s", parsed.Table, name, whoChanged)
			}
		}
	}
	return nil
}

const whoChanged = "a host's AutoMigrate with a model of this name changes the table, for instance: give the store's tables " +
	"another TablePrefix, and restore what was changed"

func (m *Migrator) checkColumn(table *schema.Schema, name string, columns map[string]column) error {
	field := table.FieldsByDBName[name]
	is, ok := columns[name]
	want, _, _ := strings.Cut(strings.ToLower(m.db.Migrator().FullDataTypeOf(field).SQL), " ")
	switch {
	case !ok:
		return fmt.Errorf("storage: the table %s has no column %s", table.Table, name)
	case field.PrimaryKey && is.typ == "bigint" && want == "integer": // AutoMigrate leaves the keys of an earlier version as they are
		return nil
	case is.typ != want:
		return fmt.Errorf("storage: the column %s of table %s has type %s, and the store needs %s", name, table.Table, is.typ, want)
	case field.PrimaryKey: // never NULL, whatever SQLite says of it
		return nil
	case is.notNull && !field.NotNull:
		return fmt.Errorf("storage: the column %s of table %s is NOT NULL, and the store needs it to be nullable", name, table.Table)
	case !is.notNull && field.NotNull:
		return fmt.Errorf("storage: the column %s of table %s is nullable, and the store needs it to be NOT NULL", name, table.Table)
	}
	return nil
}
