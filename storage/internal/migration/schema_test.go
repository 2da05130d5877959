package migration_test

import (
	"cmp"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

var engines = []string{"sqlite", "postgres"}

// testDatabase is an empty database, or a schema in one, that goes away with the test.
type testDatabase struct {
	*gorm.DB
	schema    string // PostgreSQL's
	dialector func() gorm.Dialector
}

// A database whose prefix is "oauth." has a schema of another name, so that tests can run at the same time.
func open(t *testing.T, engine, prefix string) testDatabase {
	t.Helper()
	if engine == "sqlite" {
		path := filepath.Join(t.TempDir(), "test.db")
		d := testDatabase{dialector: func() gorm.Dialector {
			return sqlite.Open("file:" + path + "?_foreign_keys=1&_busy_timeout=5000&_journal_mode=WAL")
		}}
		d.DB = d.again(t, prefix)
		return d
	}
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		t.Skip("FOSITE_MCP_TEST_POSTGRES names no server")
	}
	outer := testDatabase{dialector: func() gorm.Dialector { return postgres.Open(server) }}.again(t, "")
	d := testDatabase{schema: "mt_" + strings.ToLower(rand.Text())[:10]}
	if err := outer.Exec("CREATE SCHEMA " + d.schema).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := outer.Exec("DROP SCHEMA " + d.schema + " CASCADE").Error; err != nil {
			t.Error(err)
		}
	})
	url, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	if prefix == "oauth." {
		prefix = d.schema + "."
	} else {
		query := url.Query()
		query.Set("search_path", d.schema)
		url.RawQuery = query.Encode()
	}
	d.dialector = func() gorm.Dialector { return postgres.Open(url.String()) }
	d.DB = d.again(t, prefix)
	return d
}

// again opens the database once more.
func (d testDatabase) again(t *testing.T, prefix string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(d.dialector(), &gorm.Config{NamingStrategy: schema.NamingStrategy{TablePrefix: prefix}, Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return db
}

// searching opens PostgreSQL once more, with another search path.
func searching(t *testing.T, path string) *gorm.DB {
	t.Helper()
	url, err := url.Parse(os.Getenv("FOSITE_MCP_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	query := url.Query()
	query.Set("search_path", path)
	url.RawQuery = query.Encode()
	return testDatabase{dialector: func() gorm.Dialector { return postgres.Open(url.String()) }}.again(t, "")
}

// onEachName runs a test on both engines, with the tables' own names, with a prefix and in a schema.
func onEachName(t *testing.T, test func(t *testing.T, engine, prefix string)) {
	for _, engine := range engines {
		for name, prefix := range map[string]string{"own names": "", "prefix": "oauth_", "schema": "oauth."} {
			if engine == "postgres" || prefix != "oauth." {
				t.Run(engine+"/"+name, func(t *testing.T) { test(t, engine, prefix) })
			}
		}
	}
}

// describe lists all that is in the schema, sorted, the table of versions aside.
func (db testDatabase) describe(t *testing.T) []string {
	t.Helper()
	query := `SELECT 'column ' || m.name || '.' || c.name || ' ' || upper(c.type) || iif(c."notnull", ' NOT NULL', '') ||
			coalesce(' DEFAULT ' || replace(c.dflt_value, '"', ''''), '') || iif(c.pk, ' key ' || c.pk, '')
		FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'
		UNION ALL SELECT 'foreign key ' || m.name || '.' || f."from" || ' ' || f."table" || '.' || f."to" || f.on_update || f.on_delete || f.match
		FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
		UNION ALL SELECT 'index ' || m.name || ' ' || iif(i.origin = 'c', i.name, '') || i."unique" || i.origin ||
			(SELECT group_concat(x.name || x."desc" || x.coll) FROM pragma_index_xinfo(i.name) x WHERE x.key) ||
			coalesce((SELECT substr(d.sql, instr(d.sql, ' WHERE ')) FROM sqlite_master d WHERE d.name = i.name AND i.partial), '')
		FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table'
		ORDER BY 1`
	if db.Name() == "postgres" {
		query = `SELECT concat_ws(' ', 'column', c.table_name, c.column_name, c.data_type, c.is_nullable, c.column_default)
			FROM information_schema.columns c WHERE c.table_schema = 'SCHEMA'
			UNION ALL SELECT concat_ws(' ', 'constraint', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
			FROM pg_constraint k WHERE k.connamespace = to_regnamespace('SCHEMA') AND k.contype <> 'n'
			UNION ALL SELECT x.indexdef FROM pg_indexes x
			WHERE x.schemaname = 'SCHEMA'
			ORDER BY 1`
	}
	var lines []string
	if err := db.Raw(strings.ReplaceAll(query, "SCHEMA", db.schema)).Scan(&lines).Error; err != nil {
		t.Fatal(err)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, "fosite_mcp_migrations") || strings.Contains(line, "sqlite_sequence")
	})
	for i, line := range lines {
		if db.schema != "" {
			lines[i] = strings.ReplaceAll(strings.ReplaceAll(line, db.schema+".", ""), db.schema, "oauth")
		}
	}
	return lines
}

// triggers lists what writes the feed of revocations.
func (db testDatabase) triggers(t *testing.T) (triggers []string) {
	t.Helper()
	query := "SELECT name || ' ' || tbl_name || sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
	if db.schema != "" {
		query = "SELECT pg_get_triggerdef(t.oid) || p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid " +
			"WHERE NOT t.tgisinternal AND c.relnamespace = to_regnamespace('" + db.schema + "') ORDER BY t.tgname"
	}
	if err := db.Raw(query).Scan(&triggers).Error; err != nil {
		t.Fatal(err)
	}
	for i := range triggers {
		triggers[i] = strings.ReplaceAll(triggers[i], cmp.Or(db.schema, "oauth"), "oauth")
	}
	return triggers
}

func (db testDatabase) tables(t *testing.T) []string {
	t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
	if db.schema != "" {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = '" + db.schema + "' ORDER BY table_name"
	}
	var tables []string
	if err := db.Raw(query).Scan(&tables).Error; err != nil {
		t.Fatal(err)
	}
	return tables
}
