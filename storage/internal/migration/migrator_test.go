package migration_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/migration"
	"fosite-mcp/storage/internal/model"
)

func TestAutoMigrateGivesTheSameSchema(t *testing.T) {
	onEachName(t, func(t *testing.T, engine, prefix string) {
		migrated, automatic := open(t, engine, prefix), open(t, engine, prefix)
		up(t, migrated.DB)
		if engine == "sqlite" { // the one difference
			var without int
			if err := migrated.Raw("SELECT COUNT(*) FROM pragma_table_list WHERE wr").Scan(&without).Error; err != nil || without != 6 {
				t.Errorf("%d tables are without rowid (%v), want 6", without, err)
			}
		}
		if err := automatic.AutoMigrate(model.Models()...); err != nil {
			t.Fatal(err)
		}
		schema := migrated.describe(t)
		if len(schema) < 150 {
			t.Fatalf("there is next to nothing: %s", schema)
		}
		if diff := cmp.Diff(schema, automatic.describe(t)); diff != "" {
			t.Errorf("AutoMigrate differs (-migrations +AutoMigrate):\n%s", diff)
		}
		m := migration.New(automatic.DB)
		err := m.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "begin the chain: ") {
			t.Fatalf("%v, want that the audit chain has no beginning", err)
		}
		_, remedy, _ := strings.Cut(err.Error(), "begin the chain: ")
		if err := automatic.Exec(remedy).Error; err != nil {
			t.Fatal(err)
		}
		if err := m.Check(t.Context()); err != nil {
			t.Errorf("after AutoMigrate: %v", err)
		}
		if err := migrated.AutoMigrate(model.Models()...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(schema, migrated.describe(t)); diff != "" {
			t.Errorf("AutoMigrate has changed what the migrations made:\n%s", diff)
		}
	})
}

func TestPrintedSQLGivesTheSameSchema(t *testing.T) {
	onEachName(t, func(t *testing.T, engine, prefix string) {
		migrated, printed := open(t, engine, prefix), open(t, engine, prefix)
		up(t, migrated.DB)
		script, err := migration.SQL(engine, printed.NamingStrategy)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := printed.DB.DB()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pool.ExecContext(t.Context(), script); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(migrated.describe(t), printed.describe(t)); diff != "" {
			t.Errorf("the printed SQL differs (-migrations +printed):\n%s", diff)
		}
		if diff := cmp.Diff(migrated.triggers(t), printed.triggers(t)); diff != "" || len(printed.triggers(t)) != 8 {
			t.Errorf("the printed SQL makes other triggers (-migrations +printed):\n%s", diff)
		}
		m := migration.New(printed.DB)
		if err := errors.Join(m.Check(t.Context()), m.Up(t.Context())); err != nil {
			t.Error(err)
		}
		wantAllApplied(t, m)
	})
}

// As psql and sqlite3 run a script: statement by statement, up to the first error.
func TestPrintedSQLThatFailsLeavesNothing(t *testing.T) {
	onEachName(t, func(t *testing.T, engine, prefix string) {
		db := open(t, engine, prefix)
		last := db.Statement.Quote(model.TableName(db.NamingStrategy, &model.LoginSession{}))
		if err := db.Exec("CREATE TABLE " + last + " (theirs TEXT)").Error; err != nil {
			t.Fatal(err)
		}
		before := db.tables(t)
		script, err := migration.SQL(engine, db.NamingStrategy)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := db.again(t, prefix).DB()
		if err != nil {
			t.Fatal(err)
		}
		session, err := pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for statement := range strings.SplitAfterSeq(script, ";\n") {
			if _, err = session.ExecContext(t.Context(), statement); err != nil {
				break
			}
			ran++
		}
		if err := errors.Join(session.Close(), pool.Close()); err != nil {
			t.Fatal(err)
		}
		if err == nil || ran < 20 {
			t.Fatalf("%d statements ran, and then: %v", ran, err)
		}
		if diff := cmp.Diff(before, db.tables(t)); diff != "" {
			t.Errorf("there are other tables (-before +after):\n%s", diff)
		}
	})
}

func TestTwoStoresShareADatabase(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, "")
			for _, prefix := range []string{"", "oauth_", "other_"} {
				up(t, db.again(t, prefix))
			}
			if n, want := len(db.tables(t)), 3*(len(model.Models())+1); n != want {
				t.Errorf("there are %d tables, want %d", n, want)
			}
		})
	}
}

func TestPartsAreMadeAlone(t *testing.T) {
	for _, engine := range engines {
		for _, part := range model.Parts() {
			t.Run(engine+"/"+string(part), func(t *testing.T) {
				db := open(t, engine, "oauth_")
				up(t, db.DB, part)
				want := []string{"oauth_fosite_mcp_migrations"}
				for _, table := range model.Models(part) {
					want = append(want, model.TableName(db.NamingStrategy, table))
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, db.tables(t)); diff != "" {
					t.Errorf("other tables (-want +got):\n%s", diff)
				}
				wantAllApplied(t, migration.New(db.DB, part))
				if err := migration.New(db.DB).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "older") {
					t.Errorf("%v, want that the other parts are missing", err)
				}
				up(t, db.DB)
				whole := open(t, engine, "oauth_")
				up(t, whole.DB)
				if diff := cmp.Diff(whole.describe(t), db.describe(t)); diff != "" {
					t.Errorf("part by part gives another schema:\n%s", diff)
				}
				if diff := cmp.Diff(whole.triggers(t), db.triggers(t)); diff != "" {
					t.Errorf("part by part gives other triggers:\n%s", diff)
				}
			})
		}
	}
}

func TestTablesOfOthersAreLeftAlone(t *testing.T) {
	for _, engine := range engines {
		for what, statement := range map[string]string{
			"a table":                  "CREATE TABLE users (theirs TEXT)",
			"a table of the last":      "CREATE TABLE login_sessions (token_hash TEXT PRIMARY KEY)",
			"a view":                   "CREATE VIEW users AS SELECT 1 AS theirs",
			"another spelling":         "CREATE TABLE Users (theirs TEXT)",
			"a table that looks alike": "CREATE TABLE users (id TEXT PRIMARY KEY, username TEXT, password_hash TEXT, created_at BIGINT, updated_at BIGINT, disabled_at BIGINT)",
		} {
			t.Run(engine+"/"+what, func(t *testing.T) {
				db := open(t, engine, "")
				if err := db.Exec(statement).Error; err != nil {
					t.Fatal(err)
				}
				before, table := db.describe(t), "users"
				if strings.Contains(statement, "login") {
					table = "login_sessions"
				}
				m := migration.New(db.DB)
				inTx := func(ctx context.Context) error {
					tx := db.Begin()
					defer tx.Commit()
					return m.UpTx(ctx, tx)
				}
				for _, migrate := range []func(context.Context) error{m.Up, m.Up, inTx, m.Up} {
					err := migrate(t.Context())
					if err == nil || !strings.Contains(err.Error(), "table "+table+" ") || !strings.Contains(err.Error(), "TablePrefix") {
						t.Errorf("%v, want an error that names %s and the remedy", err, table)
					}
					if diff := cmp.Diff(before, db.describe(t)); diff != "" || len(db.tables(t)) > 1 {
						t.Errorf("something was changed: %v\n%s", db.tables(t), diff)
					}
				}
				if err := m.Check(t.Context()); err == nil {
					t.Error("the schema passes for complete")
				}
				up(t, db.DB, model.Tokens, model.Clients) // have no table of this name
				up(t, db.again(t, "oauth_"))
			})
		}
	}
}

func TestCallersTransactionDecides(t *testing.T) {
	onEachName(t, func(t *testing.T, engine, prefix string) {
		db := open(t, engine, prefix)
		m := migration.New(db.DB)
		changed := errors.New("changed my mind")
		err := db.Transaction(func(tx *gorm.DB) error {
			if err := m.UpTx(t.Context(), tx); err != nil {
				return err
			}
			if err := tx.Exec("INSERT INTO " + tx.Statement.Quote(model.TableName(tx.NamingStrategy, &model.Setting{})) + " VALUES ('a', 'b')").Error; err != nil {
				return err
			}
			return changed
		})
		if !errors.Is(err, changed) || len(db.tables(t)) != 0 {
			t.Fatalf("%v, and there are the tables %v", err, db.tables(t))
		}
		if err := db.Transaction(func(tx *gorm.DB) error { return m.UpTx(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
		if err := m.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMigratingInNoTransactionIsRefused(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, "")
			prepared := db.Session(&gorm.Session{PrepareStmt: true})
			for _, none := range []*gorm.DB{db.DB, prepared} {
				err := migration.New(db.DB).UpTx(t.Context(), none)
				if err == nil || !strings.Contains(err.Error(), "db.Transaction or db.Begin") || len(db.tables(t)) != 0 {
					t.Errorf("%v, want one that says what to pass; there are the tables %v", err, db.tables(t))
				}
			}
			if err := prepared.Transaction(func(tx *gorm.DB) error { return migration.New(db.DB).UpTx(t.Context(), tx) }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTablesInALaterSchemaAreNotHidden(t *testing.T) {
	later, first := open(t, "postgres", ""), open(t, "postgres", "")
	up(t, later.DB)
	both := searching(t, first.schema+","+later.schema)
	m := migration.New(both)
	_, listErr := m.List(t.Context())
	for what, err := range map[string]error{
		"Up": m.Up(t.Context()), "UpTx": both.Transaction(func(tx *gorm.DB) error { return m.UpTx(t.Context(), tx) }),
		"Check": m.Check(t.Context()), "List": listErr,
	} {
		if err == nil || !strings.Contains(err.Error(), "schema "+later.schema) || !strings.Contains(err.Error(), "schema "+first.schema) {
			t.Errorf("%s: %v, want an error that names both schemas", what, err)
		}
	}
	if tables := first.tables(t); len(tables) != 0 {
		t.Errorf("the first schema has the tables %v", tables)
	}
	up(t, searching(t, later.schema+","+first.schema))
	up(t, first.DB) // a schema of its own, in which nothing is hidden
	up(t, both)
}

func TestMigrationGoesOnWhereSessionsAreEnded(t *testing.T) {
	db := open(t, "postgres", "")
	host := db.again(t, "")
	pool, err := host.DB()
	if err != nil {
		t.Fatal(err)
	}
	sessions, pids := make([]*sql.Conn, 2), make([]int, 2) // as many as a pool keeps
	for i := range sessions {
		if sessions[i], err = pool.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := sessions[i].QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pids[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sessions {
		if err := errors.Join(sessions[i].Close(), db.Exec("SELECT pg_terminate_backend(?, 10000)", pids[i]).Error); err != nil {
			t.Fatal(err)
		}
	}
	up(t, host)
}

func TestHostsPreparedStatementsAreNoHindrance(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, "")
			prepared, err := gorm.Open(db.dialector(), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
			if err != nil {
				t.Fatal(err)
			}
			pool, err := prepared.DB()
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			up(t, prepared)
		})
	}
}

func TestConcurrentMigrationsAllSucceed(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			db := open(t, engine, "")
			errs := make([]error, 8)
			var done sync.WaitGroup
			for i := range errs {
				m := migration.New(db.again(t, ""))
				done.Go(func() { errs[i] = m.Up(t.Context()) })
			}
			done.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if err := migration.New(db.DB).Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// lastReleased is the last version of the time before parts, each of which was one file. goose applied them.
const lastReleased = 4

func (db testDatabase) release(t *testing.T, version int) {
	t.Helper()
	versions := "CREATE TABLE fosite_mcp_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))"
	if db.schema != "" {
		versions = "CREATE TABLE fosite_mcp_migrations (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())"
	}
	scripts := []string{versions, "INSERT INTO fosite_mcp_migrations (version_id, is_applied) VALUES (0, TRUE)"}
	files, err := filepath.Glob("testdata/released/" + db.Name() + "/*.sql")
	if err != nil || len(files) != lastReleased {
		t.Fatal(files, err)
	}
	for i, file := range files[:version] {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, string(script), fmt.Sprintf("INSERT INTO fosite_mcp_migrations (version_id, is_applied) VALUES (%d, TRUE)", i+1))
	}
	pool, err := db.DB.DB()
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		if _, err := pool.ExecContext(t.Context(), script); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryReleasedSchemaIsUpgraded(t *testing.T) {
	for _, engine := range engines {
		for version := 1; version <= lastReleased; version++ {
			for _, first := range [][]model.Part{nil, {model.Tokens}, {model.People, model.Audit}} {
				if first != nil && version%3 != 1 {
					continue
				}
				t.Run(fmt.Sprint(engine, " from ", version, " beginning with ", first), func(t *testing.T) {
					db := open(t, engine, "")
					db.release(t, version)
					err := db.Exec(`INSERT INTO clients (id, status, epoch, revoked_before, created_at, updated_at) VALUES
						('theirs', 'external', 2, 0, 1, 1), ('since', 'external', 0, 7, 1, 1), ('never revoked', 'active', 0, 0, 1, 1)`).Error
					if err != nil {
						t.Fatal(err)
					}
					err = db.Exec(`INSERT INTO clients (id, status, created_at, updated_at) VALUES ('leaked', 'active', 1, 1)`).Error
					if err == nil {
						err = db.Exec(`INSERT INTO client_secrets (id, client_id, hash, epoch, created_at) VALUES ('s', 'leaked', '', 1, 1)`).Error
					}
					if err != nil {
						t.Fatal(err)
					}
					earliest := time.Now().UnixMilli()
					m := migration.New(db.DB)
					if err := m.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "older") {
						t.Errorf("%v, want that the schema is older", err)
					}
					for _, applied := range wantList(t, m) {
						if released := applied.Version%1000 <= int64(version); released == applied.AppliedAt.IsZero() {
							t.Errorf("%s was applied at %s", applied.Name, applied.AppliedAt)
						}
					}
					up(t, db.DB, first...)
					up(t, db.DB)
					wantAllApplied(t, m)
					fresh := open(t, engine, "")
					up(t, fresh.DB)
					if diff := cmp.Diff(withoutNames(fresh.describe(t)), withoutNames(db.describe(t))); diff != "" {
						t.Errorf("it differs from a new one (-new +upgraded):\n%s", diff)
					}
					var kept []model.ClientRevocation
					if err := db.Order("id").Find(&kept).Error; err != nil {
						t.Fatal(err)
					}
					if len(kept) > 0 && kept[0].ID == "leaked" {
						if at := kept[0].RevokedBefore; at < earliest || at > time.Now().UnixMilli() {
							t.Errorf("the client with a revoked secret has tokens revoked before %d, want the time of the upgrade", at)
						}
						kept = kept[1:]
					} else {
						t.Errorf("what was revoked of a secret is forgotten: %v", kept)
					}
					if diff := cmp.Diff([]model.ClientRevocation{{ID: "since", RevokedBefore: 7}, {ID: "theirs", Epoch: 2}}, kept); diff != "" {
						t.Errorf("other revocations are kept (-want +got):\n%s", diff)
					}
					var left []string
					if err := db.Raw("SELECT id FROM clients ORDER BY id").Scan(&left).Error; err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff([]string{"leaked", "never revoked"}, left); diff != "" {
						t.Errorf("the host's clients are not the store's (-want +got):\n%s", diff)
					}
					var newest int
					if err := db.Raw("SELECT MAX(version_id) FROM fosite_mcp_migrations").Scan(&newest).Error; err != nil || newest <= lastReleased {
						t.Errorf("the newest version is %d (%v): an earlier program takes the schema for its own", newest, err)
					}
				})
			}
		}
	}
}

// withoutNames leaves out the names of constraints, which the engine chose in the released schemas.
func withoutNames(lines []string) []string {
	names := regexp.MustCompile(`^constraint \S+ \S+ |INDEX (\S+_key|uni_\S+) `)
	for i, line := range lines {
		lines[i] = names.ReplaceAllStringFunc(line, func(name string) string {
			return strings.Join(strings.Fields(name)[:len(strings.Fields(name))-1], " ") + " "
		})
	}
	slices.Sort(lines)
	return lines
}

func TestNewerSchemaIsRefused(t *testing.T) {
	onEachName(t, func(t *testing.T, engine, prefix string) {
		db := open(t, engine, prefix)
		up(t, db.DB)
		for _, version := range []int{5, 999, 1999, 9001} { // each is newer than the one before
			table := db.Statement.Quote(db.NamingStrategy.JoinTableName("fosite_mcp_migrations"))
			if err := db.Exec(fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, TRUE)", table, version)).Error; err != nil {
				t.Fatal(err)
			}
			m := migration.New(db.DB, model.Tokens)
			list, err := m.List(t.Context())
			if len(list) == 0 {
				t.Error("the list is empty")
			}
			for what, err := range map[string]error{
				"Up": m.Up(t.Context()), "UpTx": db.Transaction(func(tx *gorm.DB) error { return m.UpTx(t.Context(), tx) }),
				"Check": m.Check(t.Context()), "List": err,
			} {
				if !errors.Is(err, migration.ErrNewer) || !strings.Contains(err.Error(), fmt.Sprint(version)) {
					t.Errorf("%s: %v, want that version %d is newer", what, err, version)
				}
			}
		}
	})
}

func TestChangedTablesAreNoticed(t *testing.T) {
	type Grant struct {
		ID    string
		Title string
	}
	for _, engine := range engines {
		for want, change := range map[string]func(db *gorm.DB) error{
			"table grants has a column title": func(db *gorm.DB) error { return db.AutoMigrate(&Grant{}) },
			"no table oauth_grants":           func(db *gorm.DB) error { return db.Exec("DROP TABLE oauth_grants").Error },
			"table oauth_access_tokens has no column session": func(db *gorm.DB) error {
				return db.Exec("ALTER TABLE oauth_access_tokens DROP COLUMN session").Error
			},
			"column name of table oauth_settings has type bigint, and the store needs text": func(db *gorm.DB) error {
				return db.Exec("DROP TABLE oauth_settings; CREATE TABLE oauth_settings (name BIGINT PRIMARY KEY, value TEXT NOT NULL)").Error
			},
			"column value of table oauth_settings is nullable": func(db *gorm.DB) error {
				return db.Exec("DROP TABLE oauth_settings; CREATE TABLE oauth_settings (name TEXT PRIMARY KEY, value TEXT)").Error
			},
			"column last_used_at of table oauth_admin_keys is NOT NULL": func(db *gorm.DB) error {
				return db.Exec("ALTER TABLE oauth_admin_keys DROP COLUMN last_used_at; ALTER TABLE oauth_admin_keys ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0").Error
			},
		} {
			t.Run(engine+"/"+want, func(t *testing.T) {
				prefix := "oauth_"
				if !strings.Contains(want, prefix) {
					prefix = ""
				}
				db := open(t, engine, prefix)
				up(t, db.DB)
				if err := change(db.DB); err != nil {
					t.Fatal(err)
				}
				if err := migration.New(db.DB).Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want: %s", err, want)
				}
			})
		}
	}
}

func TestUnfitNamesAreRefused(t *testing.T) {
	names := func(prefix string) schema.Namer { return schema.NamingStrategy{TablePrefix: prefix} }
	for _, c := range []struct {
		dialect string
		namer   schema.Namer
		part    model.Part
		want    string
	}{
		{"mysql", names(""), model.Tokens, "use sqlite or postgres"},
		{"sqlite", names("oauth."), model.Tokens, "SQLite has no schemas"},
		{"postgres", names("a.b."), model.Tokens, "more than one dot"},
		{"postgres", names(`a"`), model.Tokens, "another TablePrefix"},
		{"postgres", names("a--"), model.Tokens, "another TablePrefix"},
		{"sqlite", names("a--"), model.Tokens, "another TablePrefix"},
		{"postgres", names("a\n"), model.Tokens, "another TablePrefix"},
		{"sqlite", names("a\n"), model.Tokens, "another TablePrefix"},
		{"sqlite", names("a\x7f"), model.Tokens, "another TablePrefix"},
		{"postgres", names(strings.Repeat("a", 40)), model.Tokens, "shorter TablePrefix"},
		{"postgres", names(""), "token", "tokens, clients, audit, people"},
	} {
		if _, err := migration.SQL(c.dialect, c.namer, c.part); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want: %s", err, c.want)
		}
	}
	db := open(t, "sqlite", "oauth.")
	m := migration.New(db.DB)
	_, listErr := m.List(t.Context())
	for what, err := range map[string]error{"Up": m.Up(t.Context()), "UpTx": m.UpTx(t.Context(), db.DB), "Check": m.Check(t.Context()), "List": listErr} {
		if err == nil || !strings.Contains(err.Error(), "SQLite has no schemas") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func up(t *testing.T, db *gorm.DB, parts ...model.Part) {
	t.Helper()
	m := migration.New(db, parts...)
	for range 2 { // the second time there is nothing to do
		if err := m.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantList(t *testing.T, m *migration.Migrator) []migration.Step {
	t.Helper()
	list, err := m.List(t.Context())
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list
}

func wantAllApplied(t *testing.T, m *migration.Migrator) {
	t.Helper()
	for _, applied := range wantList(t, m) {
		if age := time.Since(applied.AppliedAt); age < -time.Minute || age > time.Hour {
			t.Errorf("%s: applied %s ago", applied.Name, age)
		}
	}
}
