package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"

	"fosite-mcp/storage"

	"gorm.io/gorm"
)

// tables are the names of all tables of the store.
func (e *examination) tables() (names []string, err error) {
	for _, model := range storage.Models() {
		statement := &gorm.Statement{DB: e.db}
		if err := statement.Parse(model); err != nil {
			return nil, err
		}
		names = append(names, statement.Schema.Table)
	}
	return names, nil
}

// mayMigrate tells whether the role of database.url may change the schema.
func (e *examination) mayMigrate(ctx context.Context) (may bool, err error) {
	if !e.Config.Database.URL.IsPostgres() {
		return true, nil
	}
	names, err := e.tables()
	if err != nil {
		return false, err
	}
	err = e.pool.QueryRowContext(ctx, `SELECT has_schema_privilege(current_schema(), 'CREATE')
		AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = ANY(ARRAY(SELECT to_regclass(t) FROM unnest($1::text[]) t)) AND NOT pg_has_role(c.relowner, 'USAGE'))`,
		names).Scan(&may)
	return may, err
}

// missingRights are what the role of database.url lacks.
const missingRights = `SELECT t, p FROM unnest($1::text[]) t, unnest($2::text[]) p WHERE to_regclass(t) IS NOT NULL AND NOT has_table_privilege(to_regclass(t), p)`

// checkRole looks at what the role of database.url may do in PostgreSQL.
func checkRole(ctx context.Context, e *examination) []Finding {
	if !e.Config.Database.URL.IsPostgres() {
		return ok("SQLite has no roles")
	}
	names, err := e.tables()
	if err != nil {
		return unreadable(err)
	}
	missing, err := e.missing(ctx, names, "SELECT", "INSERT", "UPDATE", "DELETE")
	if err != nil {
		return unreadable(err)
	}
	ledger, err := e.missing(ctx, []string{"fosite_mcp_migrations"}, "SELECT")
	if err != nil {
		return unreadable(err)
	}
	if missing = append(missing, ledger...); len(missing) > 0 {
		return problem("grant it as the owner of the tables; docs/operations.md (PostgreSQL) has the statements", "the role of database.url lacks %s", strings.Join(missing, ", "))
	}
	may, err := e.mayMigrate(ctx)
	if err != nil {
		return unreadable(err)
	}
	if !may {
		return ok("the role may read and write every table, and not change the schema: the owner of the tables runs fosite-mcp migrate up")
	}
	return ok("the role may read and write every table, and change the schema: the server migrates at its start")
}

func (e *examination) missing(ctx context.Context, tables []string, rights ...string) (list []string, err error) {
	rows, err := e.pool.QueryContext(ctx, missingRights, tables, rights)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var table, right string
		if err := rows.Scan(&table, &right); err != nil {
			return nil, err
		}
		list = append(list, right+" on "+table)
	}
	return list, rows.Err()
}

// checkDurability looks at whether a commit survives a power failure. The server asks for that with each connection; what is checked
// is what it cannot ask for.
func checkDurability(ctx context.Context, e *examination) (findings []Finding) {
	if path, isSQLite := e.Config.Database.URL.SQLitePath(); isSQLite {
		return checkJournal(path)
	}
	for _, setting := range []struct {
		name, remedy string
		status       Status
	}{
		{"fsync", "set fsync = on in postgresql.conf: a power failure may destroy the database", Problem},
		{"full_page_writes", "set full_page_writes = on in postgresql.conf, unless the file system writes pages whole", Warning},
	} {
		var value string
		if err := e.pool.QueryRowContext(ctx, "SELECT current_setting($1)", setting.name).Scan(&value); err != nil {
			return unreadable(err)
		}
		findings = append(findings, durable(setting.name, value, setting.status, setting.remedy)...)
	}
	if len(findings) == 0 {
		return ok("fsync and full_page_writes are on, and the server commits with synchronous_commit=on")
	}
	return findings
}

func durable(name, value string, status Status, remedy string) []Finding {
	if value == "on" {
		return nil
	}
	return []Finding{{Status: status, Found: name + " is " + value, Remedy: remedy}}
}

// checkJournal reads from the header of a SQLite file whether it has a write-ahead log (https://www.sqlite.org/fileformat.html, 1.3.3).
func checkJournal(path string) []Finding {
	file, err := os.Open(path)
	if err != nil {
		return unreadable(err)
	}
	defer file.Close()
	var versions [2]byte
	if _, err := file.ReadAt(versions[:], 18); err != nil || versions != [2]byte{2, 2} {
		return warning("nothing: the next start switches it to wal", "the journal mode is not wal")
	}
	return ok("the journal mode is wal, and the server commits with synchronous=FULL")
}

// checkConnections compares database.max_connections with what the server allows.
func checkConnections(ctx context.Context, e *examination) []Finding {
	wanted := e.Config.Database.MaxConnections
	if !e.Config.Database.URL.IsPostgres() {
		return ok("the server opens up to %d", wanted)
	}
	var allowed, used int
	err := e.pool.QueryRowContext(ctx, `SELECT LEAST(
			CAST(current_setting('max_connections') AS INTEGER) - CAST(current_setting('superuser_reserved_connections') AS INTEGER)
				- COALESCE(CAST(current_setting('reserved_connections', true) AS INTEGER), 0),
			NULLIF((SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), -1),
			NULLIF((SELECT datconnlimit FROM pg_database WHERE datname = current_database()), -1)),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`).Scan(&allowed, &used)
	if err != nil {
		return unreadable(err)
	}
	found := fmt.Sprintf("each server opens up to %d (database.max_connections), PostgreSQL allows %d, and %d are open", wanted, allowed, used)
	if wanted > allowed {
		return warning("set database.max_connections so that all replicas together stay below that, or allow more: requests wait in line for a connection", "%s", found)
	}
	return ok("%s", found)
}
