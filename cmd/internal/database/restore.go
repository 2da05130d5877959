package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fosite-mcp/cmd/pgpool"
	"fosite-mcp/config"

	"gorm.io/gorm"
)

// PutBack makes target, the SQLite database of a server that is stopped, a copy of the backup source. prepare may change the
// copy before anybody sees it. What was there is kept under another name, which PutBack returns; "": nothing was there.
func PutBack(ctx context.Context, source, target string, now time.Time, prepare func(*gorm.DB) error) (kept string, err error) {
	if err := isBackup(ctx, source, target); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return "", err
	}
	draft, err := newDraft(target)
	if err != nil {
		return "", err
	}
	defer removeDatabase(draft)
	if err := copyFile(source, draft); err != nil {
		return "", fmt.Errorf("copy the backup: %w", err)
	}
	if err := changeAlone(draft, prepare); err != nil {
		return "", err
	}
	if err := sync(draft); err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", errors.New("interrupted; the database is what it was")
	}
	if kept, err = setAside(target, now); err != nil {
		return "", err
	}
	if err := os.Rename(draft, target); err != nil {
		return kept, fmt.Errorf("put the backup in place (what was there is %s): %w", kept, err)
	}
	return kept, publishFolder(target)
}

// isBackup refuses what is no backup: a file that is not intact, or a database that is in use.
func isBackup(ctx context.Context, source, target string) error {
	from, err := os.Stat(source)
	if err != nil {
		return err
	}
	if from.Size() == 0 { // SQLite takes it for a database without tables
		return fmt.Errorf("%s is no intact SQLite database: it is empty", source)
	}
	if there, err := os.Stat(target); err == nil && os.SameFile(from, there) {
		return fmt.Errorf("%s is the database itself; name the backup, or leave --from out if it is in its place", source)
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(source + suffix); err == nil && info.Size() > 0 {
			return fmt.Errorf("%s%s belongs to a database that is in use or has crashed, and holds a part of it; make a backup of it with: fosite-mcp backup", source, suffix)
		}
	}
	return CheckIntact(ctx, source)
}

// copyFile copies into a file that is there.
func copyFile(source, target string) error {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(target, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// changeAlone opens a SQLite database for one process, and leaves no files beside it.
func changeAlone(path string, change func(*gorm.DB) error) error {
	db, pool, err := Open(config.Database{URL: config.DatabaseURL("sqlite:" + path), MaxConnections: 1})
	if err != nil {
		return err
	}
	err = change(db)
	if err == nil {
		err = leaveLog(db)
	}
	return errors.Join(err, pool.Close())
}

// leaveLog writes SQLite's log into the database and removes it. That fails while another process has the database open.
func leaveLog(db *gorm.DB) error {
	var mode []string
	if err := db.Raw("PRAGMA journal_mode = DELETE").Find(&mode).Error; err != nil {
		return err
	}
	if len(mode) != 1 || mode[0] != "delete" {
		return errors.New("database is locked")
	}
	return nil
}

// setAside gives the database at path another name as well, so that a restart finds it until the backup takes its place. It
// refuses one that is in use. One that cannot be read is set aside as it is.
func setAside(path string, now time.Time) (kept string, err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return "", nil
	} else if err != nil {
		return "", err
	}
	if err := changeAlone(path, func(*gorm.DB) error { return nil }); err != nil && isLocked(err) {
		return "", errors.New("the database is in use: stop the server, and every replica of it, before a backup is put in its place")
	}
	kept = path + now.UTC().Format(".before-restore-20060102T150405Z")
	for _, suffix := range sqliteSuffixes[1:] { // of a database that could not be read
		if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("keep what was there: %w", err)
		}
	}
	if err := os.Link(path, kept); err != nil { // a file system without hard links
		err = os.Rename(path, kept)
		if err != nil {
			return "", fmt.Errorf("keep what was there: %w", err)
		}
	}
	return kept, nil
}

// ConnectedFrom tells from where other processes of this program are connected to a database on PostgreSQL.
func ConnectedFrom(ctx context.Context, db *gorm.DB) (addresses []string, err error) {
	err = db.WithContext(ctx).Raw(`SELECT DISTINCT COALESCE(host(client_addr), 'this machine') FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = ? AND pid <> pg_backend_pid() ORDER BY 1`, pgpool.ApplicationName).Find(&addresses).Error
	return addresses, err
}
