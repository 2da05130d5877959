package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"fosite-mcp/config"
)

// checkDataDir refuses secrets and a database in the data directory that everybody on the machine may read or change,
// as ssh does with keys. Their group may: so a cluster shares volumes (fsGroup). A generated secret is looked at beside a
// configured one too: its admin key still opens the API, and its tokens may still work. What a setting names (…_FILE,
// --admin-key-file) is not looked at: that is the platform's affair.
func checkDataDir(cfg config.Config) error {
	secrets := []string{filepath.Join(cfg.DataDir, "system.secret"), filepath.Join(cfg.DataDir, "admin.key")}
	return checkPrivate(append(secrets, databaseFiles(cfg)...)...)
}

// databaseFiles are the files of a SQLite database in the data directory: its own, and those that SQLite puts beside it.
func databaseFiles(cfg config.Config) (paths []string) {
	path, ok := cfg.Database.URL.SQLitePath()
	if !ok {
		return nil
	}
	folder, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil || !strings.HasPrefix(absolute, folder+string(filepath.Separator)) {
		return nil
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		paths = append(paths, path+suffix)
	}
	return paths
}

// checkPrivate refuses files that everybody may read or change, with the command that mends it. Those that are not there
// are fine.
func checkPrivate(paths ...string) error {
	if runtime.GOOS == "windows" { // whose modes say nothing
		return nil
	}
	var open, command []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o006 != 0 {
			open = append(open, fmt.Sprintf("%s (mode %04o)", path, info.Mode().Perm()))
			command = append(command, shellWord(path))
		}
	}
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("every user of this machine may read or change %s. Close that to them with: chmod o-rwx %s",
		strings.Join(open, ", "), strings.Join(command, " "))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+:@%,=][A-Za-z0-9_./+:@%,=-]*$`)

// shellWord is text as a shell takes it for one word.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// noticeOpenFolder tells about a data directory in which everybody may replace files. It is no reason not to start: that
// is how clusters make empty volumes, in which there is nobody else.
func (s *Server) noticeOpenFolder(folder string) {
	info, err := os.Stat(folder)
	if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 && runtime.GOOS != "windows" {
		s.notify("every user of this machine may replace files in %s; close that to them with: chmod o-w %s", folder, shellWord(folder))
	}
}
