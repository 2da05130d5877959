package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/storage"
)

var errNoDatabase = errors.New("there is no database yet")

// open opens the database to read it.
func (e *examination) open() {
	if path, isSQLite := e.Config.Database.URL.SQLitePath(); isSQLite {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.why = fmt.Errorf("%w at %s", errNoDatabase, path)
		case err != nil:
			e.why = err
		case info.IsDir():
			e.why = fmt.Errorf("%s is a folder, and not a database", path)
		}
		if e.why != nil {
			return
		}
	}
	if e.db, e.pool, e.why = database.Look(e.Config.Database); e.why == nil {
		e.store = storage.New(e.db)
	}
}

func checkReachable(ctx context.Context, e *examination) []Finding {
	const remedy = "start the database, or correct database.url; run this in the server's folder, or give --config"
	if errors.Is(e.why, errNoDatabase) {
		return warning("nothing, if the server was never started: its first start makes it. Otherwise run this in the server's folder, or give --config", "%v", e.why)
	}
	if e.why != nil {
		return problem(remedy, "%v", e.why)
	}
	engine, query := "SQLite", "SELECT sqlite_version(), 0"
	if e.Config.Database.URL.IsPostgres() {
		engine, query = "PostgreSQL", "SELECT current_setting('server_version'), CAST(current_setting('server_version_num') AS INTEGER)"
	}
	var version string
	var number int
	if err := e.pool.QueryRowContext(ctx, query).Scan(&version, &number); err != nil {
		return problem(remedy, "%s cannot be read: %v", e.Config.Database.URL, err)
	}
	e.has[aDatabase] = true
	if number != 0 && number < 130000 {
		return problem("upgrade it to 13 or later", "PostgreSQL %s at %s is too old", version, e.Config.Database.URL)
	}
	return ok("%s %s answers (%s)", engine, version, e.Config.Database.URL)
}

// checkSchema compares the tables with those that this version needs.
func checkSchema(ctx context.Context, e *examination) []Finding {
	migrations, err := e.store.Migrations(ctx)
	if err != nil {
		return problem("run the version of fosite-mcp that migrated it, or a later one", "%v", err)
	}
	if pending := len(database.Pending(migrations)); pending > 0 {
		if may, err := e.mayMigrate(ctx); err != nil {
			return unreadable(err)
		} else if !may {
			return problem("run fosite-mcp migrate up as the role that owns the tables", "%d of %d migrations are pending, and the role of database.url may not apply them", pending, len(migrations))
		}
		return warning("start the server, or run fosite-mcp migrate up; the checks of what the tables hold are left out until then", "%d of %d migrations are pending", pending, len(migrations))
	}
	if err := e.store.CheckSchema(ctx); err != nil {
		return problem("bring back the tables that it names, from a backup if need be", "%v", err)
	}
	e.has[aSchema] = true
	return ok("all %d migrations are applied", len(migrations))
}

func checkClock(ctx context.Context, e *examination) []Finding {
	says, refused, err := authserver.CompareClocks(ctx, e.store)
	const remedy = "set the clocks of both machines by NTP"
	switch {
	case err != nil:
		return unreadable(err)
	case refused:
		return problem(remedy, "%s; the server does not start with that", says)
	case says != "":
		return warning(remedy, "%s", says)
	case !e.Config.Database.URL.IsPostgres():
		return ok("SQLite goes by the clock of this machine")
	}
	return ok("this machine and the database agree on the time")
}

// What is left of a disk: below the first the server needs help, below the second somebody should look.
const (
	leastRoom   = 64 << 20
	notableRoom = 1 << 30
)

// checkDisk looks at the room for a SQLite database.
func checkDisk(ctx context.Context, e *examination) []Finding {
	path, isSQLite := e.Config.Database.URL.SQLitePath()
	if !isSQLite {
		if !e.has[aDatabase] {
			return nil
		}
		var size int64
		if err := e.pool.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&size); err != nil {
			return unreadable(err)
		}
		return ok("the database has %d MB; how much room its server has left is not visible from here", size>>20)
	}
	folder := filepath.Dir(path)
	free, all, known := roomAt(folder)
	if !known {
		return nil
	}
	return judgeRoom(folder, free, all)
}

func judgeRoom(folder string, free, all uint64) []Finding {
	const remedy = "make room, or move the database to a larger disk: without room the server answers 503"
	found := fmt.Sprintf("%d of %d MB are left for the database in %s", free>>20, all>>20, folder)
	switch {
	case free < leastRoom:
		return problem(remedy, "%s", found)
	case free < notableRoom || free < all/20:
		return warning(remedy, "%s", found)
	}
	return ok("%s", found)
}
