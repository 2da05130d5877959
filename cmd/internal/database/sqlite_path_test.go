package database

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fosite-mcp/config"
)

// Whatever a file or its folder is called, the database is there and nowhere else.
func TestTheDatabaseIsTheFileThatIsNamed(t *testing.T) {
	for _, folder := range []string{"a#b", "100%", "%41", "%2F", "what?", "?a=b", "a&b=c", "a b", "ä日本", "a;b", "a+b", `a\b`, `a"b'c`, "file:x", "a:b", "line\nfeed"} {
		root := t.TempDir()
		for _, name := range []string{"fosite-mcp.db", folder} {
			path := filepath.Join(root, folder, name)
			db, pool, err := Open(config.Database{URL: config.DatabaseURL("sqlite:" + path)})
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			var file string
			if err := db.Exec("CREATE TABLE t (x)").Error; err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if err := db.Raw("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file).Error; err != nil || file != path {
				t.Errorf("%s: the database is at %s (%v)", path, file, err)
			}
			var journal string
			if err := db.Raw("PRAGMA journal_mode").Scan(&journal).Error; err != nil || journal != "wal" {
				t.Errorf("%s: journal mode %s (%v)", path, journal, err)
			}
			var cached int
			if err := db.Raw("PRAGMA cache_size").Scan(&cached).Error; err != nil || cached != -512 {
				t.Errorf("%s: a connection keeps %d (%v), not 512 KiB", path, cached, err)
			}
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(path); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: beside the folder there is more: %v (%v)", folder, entries, err)
		}
		entries, err = os.ReadDir(filepath.Join(root, folder))
		if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == folder }) || len(entries) != 2 {
			t.Errorf("%s: in the folder are %v (%v)", folder, entries, err)
		}
	}
}
