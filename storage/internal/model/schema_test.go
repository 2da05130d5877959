package model_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/model"
)

func TestAutoMigrateGivesTheSchemaOfTheMigrations(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			migrated := open(t, engine, schema.NamingStrategy{})
			files, err := filepath.Glob("../../migrations/" + engine + "/*.sql")
			if err != nil || len(files) < 4 {
				t.Fatal(files, err)
			}
			for _, file := range files {
				script, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				pool, err := migrated.DB()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := pool.Exec(string(script)); err != nil {
					t.Fatal(err)
				}
			}
			if err := migrated.AutoMigrate(&model.ClientRevocation{}); err != nil {
				t.Fatal(err)
			}
			automatic := open(t, engine, schema.NamingStrategy{})
			if err := automatic.AutoMigrate(model.Models()...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(describe(t, migrated), describe(t, automatic)); diff != "" {
				t.Errorf("AutoMigrate differs (-migrations +AutoMigrate):\n%s", diff)
			}
		})
	}
}

func TestTwoPrefixesShareADatabase(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, schema.NamingStrategy{TablePrefix: "oauth_"})
			if err := db.AutoMigrate(model.Models()...); err != nil {
				t.Fatal(err)
			}
			other, err := gorm.Open(db.Dialector, &gorm.Config{NamingStrategy: schema.NamingStrategy{TablePrefix: "other_"}, Logger: logger.Discard})
			if err != nil {
				t.Fatal(err)
			}
			if err := other.AutoMigrate(model.Models()...); err != nil {
				t.Fatal(err)
			}
			lines := describe(t, db)
			for _, want := range []string{"oauth_access_tokens_by_expiry", "other_access_tokens_by_expiry", "oauth_audit_chain", "other_audit_chain"} {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
					t.Errorf("there is no %s", want)
				}
			}
		})
	}
}

func TestPrefixMayBeASchema(t *testing.T) {
	names := model.TableNames(schema.NamingStrategy{TablePrefix: "oauth."})
	if names["audit_chain"] != "oauth.audit_chain" || names["used_assertions"] != "oauth.used_assertions" || len(names) != len(model.Models()) {
		t.Errorf("the tables are %v", names)
	}
	if name := model.IndexName("oauth.access_tokens", "by_expiry"); name != "oauth_access_tokens_by_expiry" {
		t.Errorf("the index is %s", name)
	}
}

func open(t *testing.T, engine string, names schema.NamingStrategy) *gorm.DB {
	t.Helper()
	config := &gorm.Config{NamingStrategy: names, Logger: logger.Discard}
	if engine == "sqlite" {
		db, err := gorm.Open(sqlite.Open("file:"+filepath.Join(t.TempDir(), "test.db")+"?_foreign_keys=1"), config)
		if err != nil {
			t.Fatal(err)
		}
		closeAfter(t, db)
		return db
	}
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		t.Skip("FOSITE_MCP_TEST_POSTGRES names no server")
	}
	outer, err := gorm.Open(postgres.Open(server), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, outer)
	name := "model_test_" + strings.ToLower(rand.Text())
	if err := outer.Exec("CREATE SCHEMA " + name).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outer.Exec("DROP SCHEMA " + name + " CASCADE") })
	inner, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := inner.Query()
	query.Set("search_path", name)
	inner.RawQuery = query.Encode()
	db, err := gorm.Open(postgres.Open(inner.String()), config)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, db)
	return db
}

func closeAfter(t *testing.T, db *gorm.DB) {
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
}

// describe lists all that is in the schema, sorted. The names of unique and foreign keys are GORM's or the engine's.
func describe(t *testing.T, db *gorm.DB) []string {
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
			FROM information_schema.columns c WHERE c.table_schema = current_schema()
			UNION ALL SELECT concat_ws(' ', 'constraint', k.conrelid::regclass, pg_get_constraintdef(k.oid))
			FROM pg_constraint k WHERE k.connamespace = current_schema()::regnamespace AND k.contype <> 'n'
			UNION ALL SELECT replace(x.indexdef, current_schema() || '.', '') FROM pg_indexes x
			WHERE x.schemaname = current_schema() AND x.indexname NOT IN (
				SELECT k.conname FROM pg_constraint k WHERE k.connamespace = current_schema()::regnamespace AND k.contype = 'u')
			ORDER BY 1`
	}
	var lines []string
	if err := db.Raw(query).Scan(&lines).Error; err != nil {
		t.Fatal(err)
	}
	if len(lines) < 100 {
		t.Fatal(fmt.Sprint("there is next to nothing: ", lines))
	}
	return lines
}

func TestRowsAreWrittenAsTheyAreGiven(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, schema.NamingStrategy{TablePrefix: "oauth_"})
			if err := db.AutoMigrate(model.Models()...); err != nil {
				t.Fatal(err)
			}
			created, none := model.At(time.UnixMilli(1_700_000_000_123).UTC()), model.List{}
			client := model.Client{
				ID: "machine", Status: "active", Scope: model.List{"a", "b c"}, Audience: none, Introspects: none, GrantTypes: none, ResponseTypes: none,
				RedirectURIs: none, Metadata: model.JSON(`{"a": 1}`), Version: 7, AccessTokenLifespan: model.Seconds(time.Hour), CreatedAt: created, UpdatedAt: created,
			}
			token := model.AccessToken{Signature: model.Hash{1, 0, 2}, Request: model.Request{
				RequestID: "r", ClientID: "machine", Scope: none, Audience: none, RequestedScope: &none, IssuedAt: created,
			}}
			secret := model.ClientSecret{ID: "s", ClientID: "machine", Slow: true, CreatedAt: created}
			for _, row := range []any{&client, &token, &secret} {
				given := fmt.Sprintf("%+v", row)
				if err := db.Create(row).Error; err != nil {
					t.Fatal(err)
				}
				if now := fmt.Sprintf("%+v", row); now != given {
					t.Errorf("Create has made %s of %s", now, given)
				}
			}
			var storedClient model.Client
			var storedToken model.AccessToken
			var storedSecret model.ClientSecret
			for _, found := range []*gorm.DB{
				db.Limit(1).Find(&storedClient, "id = ?", "machine"),
				db.Where("signature IN ?", []model.Hash{{1, 0, 2}, {3}}).Limit(1).Find(&storedToken),
				db.Raw("SELECT * FROM oauth_client_secrets WHERE slow = ?", model.Flag(true)).Scan(&storedSecret),
			} {
				if found.Error != nil || found.RowsAffected != 1 {
					t.Fatal(found.RowsAffected, found.Error)
				}
			}
			if diff := cmp.Diff([]any{client, token, secret}, []any{storedClient, storedToken, storedSecret}); diff != "" {
				t.Errorf("other rows come back (-written +read):\n%s", diff)
			}
		})
	}
}
