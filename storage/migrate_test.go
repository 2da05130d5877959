package storage

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"fosite-mcp/storage/internal/enginetest"
	"fosite-mcp/storage/internal/migration"
)

func TestSchemaChecks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := soon(t), New(openPool(t, e.dialector(t)()))
		if err := store.CheckSchema(ctx); err == nil || !strings.Contains(err.Error(), "fosite-mcp migrate up") {
			t.Errorf("an empty database: error = %v, want one that names the command", err)
		}
		for range 2 { // the second time there is nothing to do
			if err := store.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.CheckSchema(ctx); err != nil {
			t.Errorf("a migrated database: %v", err)
		}
		list, err := store.Migrations(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range list {
			if i > 0 && m.Version <= list[i-1].Version || m.AppliedAt.IsZero() || !strings.HasSuffix(m.Name, ".sql") {
				t.Errorf("migration %d: %+v, want it applied", i+1, m)
			}
		}
	})
}

func TestTablesOfOthersAreNamedAsTheProblem(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := New(enginetest.OpenPlain(t, e.dialector(t)()))
		if _, err := poolOf(t, store).ExecContext(soon(t), `CREATE TABLE clients (theirs TEXT)`); err != nil {
			t.Fatal(err)
		}
		if err := store.Migrate(soon(t)); err == nil || !strings.Contains(err.Error(), "clients") || !strings.Contains(err.Error(), "a database of its own") {
			t.Errorf("error %v, want one that names the table and the remedy", err)
		}
	})
}

func TestMigrationTakesPartInTheHostsTransaction(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := New(openPool(t, e.dialector(t)()))
		for way, migrate := range map[string]func(ctx context.Context, tx *gorm.DB) error{
			"MigrateTx": store.MigrateTx,
			"WithTx":    func(ctx context.Context, tx *gorm.DB) error { return store.Migrate(WithTx(ctx, tx)) },
		} {
			changed := errors.New("changed my mind")
			err := store.db.Host().Transaction(func(tx *gorm.DB) error {
				if err := migrate(soon(t), tx); err != nil {
					return err
				}
				if err := store.CheckSchema(WithTx(soon(t), tx)); err != nil {
					return err
				}
				return changed
			})
			if !errors.Is(err, changed) {
				t.Errorf("%s: %v", way, err)
			}
			list, err := store.Migrations(soon(t))
			if err != nil || len(list) == 0 || !list[0].AppliedAt.IsZero() {
				t.Errorf("%s: rolled back, and there is %+v (%v)", way, list, err)
			}
		}
	})
}

func TestMigrateTxWantsATransaction(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := New(openPool(t, e.dialector(t)()))
		if err := store.MigrateTx(soon(t), store.db.Host()); err == nil || !strings.Contains(err.Error(), "db.Transaction or db.Begin") {
			t.Errorf("error %v, want one that says what to pass", err)
		}
		list, err := store.Migrations(soon(t))
		if err != nil || len(list) == 0 || !list[0].AppliedAt.IsZero() {
			t.Errorf("something was migrated: %+v (%v)", list, err)
		}
	})
}

func TestModelsAreThoseOfAPart(t *testing.T) {
	if people, all := Models(PartPeople), Models(); len(people) != 4 || len(all) != 20 {
		t.Errorf("there are %d models, %d of people", len(all), len(people))
	}
}

func TestNoDatabaseIsAnErrorOfEveryCall(t *testing.T) {
	store := New(nil)
	for what, err := range map[string]error{"Migrate": store.Migrate(soon(t)), "Ping": store.Ping(soon(t))} {
		if err == nil || !strings.Contains(err.Error(), "no database") {
			t.Errorf("%s: %v, want that there is no database", what, err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := soon(t), New(enginetest.OpenPlain(t, e.dialector(t)()))
		if err := store.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := store.db.Run(ctx, `INSERT INTO fosite_mcp_migrations (version_id, is_applied) VALUES (?, ?)`, 999, true)
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{"Migrate": store.Migrate(ctx), "CheckSchema": store.CheckSchema(ctx)} {
			if !errors.Is(err, migration.ErrNewer) || !strings.Contains(err.Error(), "999") {
				t.Errorf("%s: error = %v, want that version 999 is newer", what, err)
			}
		}
	})
}

func TestConcurrentMigrationsAllSucceed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		open := e.dialector(t)
		stores, errs := make([]*Store, 8), make([]error, 8)
		for i := range stores {
			stores[i] = New(openPool(t, open()))
		}
		var done sync.WaitGroup
		for i, store := range stores {
			done.Go(func() { errs[i] = store.Migrate(soon(t)) })
		}
		done.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if err := stores[0].CheckSchema(soon(t)); err != nil {
			t.Error(err)
		}
	})
}

// migrateFile makes this test program migrate a file and do nothing else.
const migrateFile = "STORAGE_TEST_MIGRATE_FILE"

func TestProcessesMigrateOneNewFileTogether(t *testing.T) {
	if path := os.Getenv(migrateFile); path != "" {
		if err := New(openPool(t, sqlite.Open("file:"+path+sqliteSettings))).Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "shared.db")
	// Opening switches a new file to WAL, which SQLite refuses to all but one at a time. That is the affair of whoever
	// opens it; here it is done before the race.
	shared := New(openPool(t, sqlite.Open("file:"+path+sqliteSettings)))
	outputs, errs := make([][]byte, 4), make([]error, 4)
	var done sync.WaitGroup
	for i := range outputs {
		done.Go(func() {
			process := exec.CommandContext(soon(t), os.Args[0], "-test.run=^"+t.Name()+"$")
			process.Env = append(os.Environ(), migrateFile+"="+path)
			outputs[i], errs[i] = process.CombinedOutput()
		})
	}
	done.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("process %d: %v\n%s", i, err, outputs[i])
		}
	}
	if err := shared.CheckSchema(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestMigrationThatFailsIsAnError(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, store := soon(t), New(enginetest.OpenPlain(t, e.dialector(t)()))
		if _, err := poolOf(t, store).ExecContext(ctx, "CREATE TABLE clients (theirs TEXT)"); err != nil {
			t.Fatal(err)
		}
		if err := store.Migrate(ctx); err == nil || !strings.Contains(err.Error(), "clients") {
			t.Errorf("error = %v, want that the table clients exists", err)
		}
		if err := store.CheckSchema(ctx); err == nil {
			t.Error("the schema passes for complete")
		}
	})
}
