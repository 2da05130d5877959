package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// With either SQLite a data folder may be called as it likes, and all commands find the same database in it.
func TestADataFolderMayHaveAnyName(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func() (string, error){"cgo": binaries, "pure": pureBinaries} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			data := filepath.Join(parent, "a #1 100%41?x=y;ä")
			s := newServer(t, build, "FOSITE_MCP_DATA_DIR="+data)
			s.data = data
			s.start()
			id, secret := s.register(map[string]any{"client_name": "ci"})
			token := s.token(id, secret)
			s.kill()
			s.start()
			if !s.active(id, secret, token) {
				t.Error("the token did not survive the restart")
			}
			if status := s.run("", "migrate", "status"); !strings.Contains(status, "00001_init.sql") {
				t.Errorf("migrate status: %s", status)
			}
			entries, err := os.ReadDir(parent)
			if err != nil || len(entries) != 1 {
				t.Errorf("beside the folder there is more: %v (%v)", entries, err)
			}
			if path := databaseFile(t, s); filepath.Base(path) != "fosite-mcp.db" {
				t.Errorf("the database is %s", path)
			}
		})
	}
}
