package migration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// state is what a database holds.
type state struct {
	tables  map[string]map[string]column // by the names that the host gives them; a view counts as a table
	applied map[int64]time.Time
	legacy  []int64 // versions of the time before parts that are not recorded for each part yet
	newer   error
}

// column is what the engine says of one.
type column struct {
	typ     string // in lower case
	notNull bool
	key     bool
}

// started tells whether the part's tables are the store's.
func (s *state) started(part model.Part) bool {
	all, _ := steps([]model.Part{part})
	for _, step := range all {
		if !s.applied[step.Version].IsZero() {
			return true
		}
	}
	return false
}

// session is where to read, which must not be a replica, or where to begin a transaction.
func (m *Migrator) session(ctx context.Context) *gorm.DB {
	return database.Quiet(m.db).WithContext(ctx).Set("gorm:db_resolver:write", struct{}{}).Session(&gorm.Session{})
}

func (m *Migrator) read(ctx context.Context) (*state, error) {
	if m.err != nil {
		return nil, m.err
	}
	return m.readIn(m.session(ctx))
}

func (m *Migrator) readIn(tx *gorm.DB) (*state, error) {
	s := &state{tables: map[string]map[string]column{}, applied: map[int64]time.Time{}}
	err := m.dialect.refuseHidden(tx)
	if err == nil {
		err = s.readTables(tx, m.dialect, m.allTables())
	}
	if err == nil && s.tables[m.dialect.versions()] != nil {
		err = s.readVersions(tx, m.dialect)
	}
	if err != nil {
		return nil, fmt.Errorf("storage: read the schema: %w", err)
	}
	return s, nil
}

// refuseHidden refuses a search path on PostgreSQL in which a later schema has the store's tables: statements meet those, and
// new tables would be made in the first schema and hide them.
func (d dialect) refuseHidden(tx *gorm.DB) error {
	if !d.postgres || strings.Contains(d.versions(), ".") {
		return nil
	}
	var schemas struct{ Tables, Current string }
	err := tx.Raw(`SELECT n.nspname AS tables, current_schema() AS current
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = to_regclass(?) AND n.nspname <> current_schema()`, d.quotedVersions()).Scan(&schemas).Error
	if err == nil && schemas.Tables != "" {
		err = fmt.Errorf("the table %s is in the schema %s, and new tables would be made in the schema %s; begin the search_path with the schema of the store's tables, "+
			`or name the schema in the TablePrefix ("%s.")`, d.versions(), schemas.Tables, schemas.Current, schemas.Current)
	}
	return err
}

const sqliteColumns = `SELECT '', m.name, COALESCE(c.name, ''), lower(COALESCE(c.type, '')), COALESCE(c."notnull", 0) <> 0, COALESCE(c.pk, 0) <> 0
	FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c
	WHERE m.type IN ('table', 'view') AND lower(m.name) IN ?`

// An index or a sequence takes a table's name, too, and has columns or none.
const postgresColumns = `SELECT n.nspname, c.relname, COALESCE(a.attname, ''), COALESCE(format_type(a.atttypid, a.atttypmod), ''),
		COALESCE(a.attnotnull, FALSE), FALSE
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE n.nspname = COALESCE(CAST(? AS TEXT), current_schema()) AND c.relname IN ?`

// readTables reads which of tables there are, all in one schema.
func (s *state) readTables(tx *gorm.DB, d dialect, tables []string) error {
	var inSchema any
	known := map[string]string{} // as the engine calls a table → as the host does
	for _, table := range tables {
		name := table
		if before, after, qualified := strings.Cut(table, "."); qualified {
			inSchema, name = before, after
		}
		if !d.postgres {
			name = strings.ToLower(name) // to SQLite they are the same
		}
		known[name] = table
	}
	names := slices.Sorted(maps.Keys(known))
	query, args := sqliteColumns, []any{names}
	if d.postgres {
		query, args = postgresColumns, []any{inSchema, names}
	}
	rows, err := tx.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var schema, table, name string
		var c column
		if err := rows.Scan(&schema, &table, &name, &c.typ, &c.notNull, &c.key); err != nil {
			return err
		}
		if !d.postgres {
			table = strings.ToLower(table)
		}
		table = known[table]
		if s.tables[table] == nil {
			s.tables[table] = map[string]column{}
		}
		if name != "" {
			s.tables[table][name] = c
		}
	}
	return rows.Err()
}

// readVersions reads what has been applied, by the records of parts or of the time before them.
func (s *state) readVersions(tx *gorm.DB, d dialect) error {
	at := d.choose("CAST(strftime('%s', tstamp) AS INTEGER)", "CAST(extract(epoch FROM tstamp) AS BIGINT)")
	rows, err := tx.Raw("SELECT version_id, COALESCE(" + at + ", 0) FROM " + d.quotedVersions() + " WHERE is_applied").Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	recorded := map[int64]time.Time{}
	for rows.Next() {
		var version, seconds int64
		if err := rows.Scan(&version, &seconds); err != nil {
			return err
		}
		recorded[version] = time.Unix(seconds, 0).UTC()
	}
	all, err := steps(model.Parts())
	if err != nil {
		return err
	}
	for _, step := range all {
		at, ok := recorded[step.Version]
		if !ok && step.legacy() > 0 {
			if at, ok = recorded[step.legacy()]; ok && !slices.Contains(s.legacy, step.legacy()) {
				s.legacy = append(s.legacy, step.legacy())
			}
		}
		if ok {
			s.applied[step.Version] = at
		}
	}
	unknown := int64(lastLegacy) // 0 is goose's own
	for version := range recorded {
		if !slices.ContainsFunc(all, func(step Step) bool { return step.Version == version }) {
			unknown = max(unknown, version)
		}
	}
	if unknown > lastLegacy {
		s.newer = fmt.Errorf("%w: it has version %d, which the program does not know; run a newer fosite-mcp", ErrNewer, unknown)
	}
	return rows.Err()
}
