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
	tables   map[string]map[string]column // by the names that the host gives them; a view counts as a table
	recorded map[int64]time.Time          // when versions were applied, those of the time before parts included
}

// column is what the engine says of one.
type column struct {
	typ     string // in lower case
	notNull bool
	key     bool
}

// appliedAt is when a step was applied, by its own record or by one of the time before parts; zero: it was not.
func (s *state) appliedAt(step Step) time.Time {
	at, ok := s.recorded[step.Version]
	if !ok && step.legacy() > 0 {
		at = s.recorded[step.legacy()]
	}
	return at
}

// started tells whether the part's tables are the store's.
func (s *state) started(part model.Part) bool {
	return slices.ContainsFunc(allSteps, func(step Step) bool { return step.part == part && !s.appliedAt(step).IsZero() })
}

// newer is [ErrNewer] if a version is recorded that this program does not know.
func (s *state) newer() error {
	newest := int64(lastLegacy) // 0 is goose's own
	for version := range s.recorded {
		if !slices.ContainsFunc(allSteps, func(step Step) bool { return step.Version == version }) {
			newest = max(newest, version)
		}
	}
	if newest == lastLegacy {
		return nil
	}
	return fmt.Errorf("%w: it has version %d, which the program does not know; run a newer fosite-mcp", ErrNewer, newest)
}

// session is where to read, which must not be a replica, or where to begin a transaction.
func (m *Migrator) session(ctx context.Context) *gorm.DB {
	return database.Quiet(m.db).WithContext(ctx).Set("gorm:db_resolver:write", struct{}{}).Session(&gorm.Session{})
}

func (m *Migrator) read(tx *gorm.DB) (*state, error) {
	if m.err != nil {
		return nil, m.err
	}
	s := &state{tables: map[string]map[string]column{}, recorded: map[int64]time.Time{}}
	err := m.dialect.refuseHidden(tx)
	if err == nil {
		err = s.readTables(tx, m.dialect, append(m.dialect.tables(m.parts...), m.dialect.versions()))
	}
	if err == nil && s.tables[m.dialect.versions()] != nil {
		err = s.readVersions(tx, m.dialect)
	}
	return s, database.Wrap(err, "read the schema")
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
		WHERE c.oid = to_regclass(?) AND n.nspname <> current_schema()`, d.quotedVersions()).Find(&schemas).Error
	if err == nil && schemas.Tables != "" {
		err = fmt.Errorf("the table %s is in the schema %s, and new tables would be made in the schema %s; begin the search_path with the schema of the store's tables, "+
			`or name the schema in the TablePrefix ("%s.")`, d.versions(), schemas.Tables, schemas.Current, schemas.Current)
	}
	return err
}

const sqliteColumns = `SELECT m.name, COALESCE(c.name, ''), lower(COALESCE(c.type, '')), COALESCE(c."notnull", 0) <> 0, COALESCE(c.pk, 0) <> 0
	FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c
	WHERE m.type IN ('table', 'view') AND lower(m.name) IN ?`

// An index or a sequence takes a table's name, too, and has columns or none.
const postgresColumns = `SELECT c.relname, COALESCE(a.attname, ''), COALESCE(format_type(a.atttypid, a.atttypmod), ''), COALESCE(a.attnotnull, FALSE), FALSE
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
		var table, name string
		var c column
		if err := rows.Scan(&table, &name, &c.typ, &c.notNull, &c.key); err != nil {
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

// readVersions reads which versions have been applied.
func (s *state) readVersions(tx *gorm.DB, d dialect) error {
	at := d.choose("CAST(strftime('%s', tstamp) AS INTEGER)", "CAST(extract(epoch FROM tstamp) AS BIGINT)")
	rows, err := tx.Raw("SELECT version_id, COALESCE(" + at + ", 0) FROM " + d.quotedVersions() + " WHERE is_applied").Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var version, seconds int64
		if err := rows.Scan(&version, &seconds); err != nil {
			return err
		}
		s.recorded[version] = time.Unix(seconds, 0).UTC()
	}
	return rows.Err()
}
