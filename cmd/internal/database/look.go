package database

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"fosite-mcp/config"

	"gorm.io/gorm"
)

// Look opens a database that is there, to read it. SQLite refuses every change then. While nobody uses the file, which the missing
// log tells, SQLite makes no files beside it.
func Look(cfg config.Database) (db *gorm.DB, pool *sql.DB, err error) {
	path, isSQLite := cfg.URL.SQLitePath()
	if !isSQLite {
		cfg.MaxConnections = 2
		return Open(cfg)
	}
	look := sqliteLooker
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		look = sqliteReader
	}
	if db, err = openGORM(look(path)); err == nil {
		pool, err = db.DB()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the database %s: %w", cfg.URL, err)
	}
	return db, pool, nil
}
