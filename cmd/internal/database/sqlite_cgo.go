//go:build cgo

package database

import (
	"net/url"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// sqliteDialector opens path with the C library. WAL lets reads go on beside a write; synchronous=FULL makes a
// commit survive a power failure. Each connection keeps half a megabyte of pages, where SQLite would keep two: requests look for
// single rows all over the file, and the system's cache has its pages once for all connections.
func sqliteDialector(path string) gorm.Dialector {
	return sqlite.Open((&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"5000"}, "_txlock": {"immediate"}, "_foreign_keys": {"1"},
		"_cache_size": {"-512"},
	}.Encode()}).String())
}

// sqliteReader reads a file that nobody is using, and makes no file beside it.
func sqliteReader(path string) gorm.Dialector {
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&immutable=1"}).String()
	return sqlite.Open(dsn)
}

// sqliteLooker reads a file that a server may be using, and changes none of its settings.
func sqliteLooker(path string) gorm.Dialector {
	return sqlite.Open((&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&_busy_timeout=5000"}).String())
}
