package authserver

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/config"
)

// CheckDataDir refuses secrets and a database in the data directory that every user of the machine may read or change, as
// ssh does with keys. The group may: a cluster shares volumes with it (fsGroup). Generated secrets are checked beside
// configured ones, because they may still be valid. Files that a setting names (…_FILE) are not checked: the platform sets
// their mode.
func CheckDataDir(cfg config.Config) error {
	secrets := []string{filepath.Join(cfg.DataDir, "system.secret"), filepath.Join(cfg.DataDir, "admin.key")}
	return privatefile.Check(append(secrets, database.Files(cfg)...)...)
}

// noticeWritableFolder warns of a data directory in which every user may replace files. The server starts all the same:
// clusters make empty volumes with this mode, for one user.
func (s *Instance) noticeWritableFolder(folder string) {
	if WritableFolder(folder) {
		s.notify("every user of this machine may replace files in %s; close that to them with: chmod o-w %s", folder, privatefile.ShellWord(folder))
	}
}

// WritableFolder tells whether every user of this machine may replace files in a folder.
func WritableFolder(folder string) bool {
	info, err := os.Stat(folder)
	return err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 && runtime.GOOS != "windows"
}
