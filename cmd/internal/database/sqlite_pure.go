//go:build !cgo

package database

import (
	"net/url"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite" // the driver named "sqlite", which needs no C compiler
)

// sqliteDialector opens path with the same settings as the C library's, see sqlite_cgo.go.
func sqliteDialector(path string) gorm.Dialector {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-512)"}, "_txlock": {"immediate"},
	}.Encode()}).String()
	return sqlite.New(sqlite.Config{DriverName: "sqlite", DSN: dsn})
}

// sqliteReader reads a file that nobody is using, and makes no file beside it.
func sqliteReader(path string) gorm.Dialector {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&immutable=1"}).String()
	return sqlite.New(sqlite.Config{DriverName: "sqlite", DSN: dsn})
}

// sqliteLooker reads a file that a server may be using, and changes none of its settings.
func sqliteLooker(path string) gorm.Dialector {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}).String()
	return sqlite.New(sqlite.Config{DriverName: "sqlite", DSN: dsn})
}
