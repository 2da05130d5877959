package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// progressInterval is how often a backup tells how far it is.
const progressInterval = 2 * time.Second

// Backup copies the SQLite database source, which db has open and a server may be using, to target: as it is at one moment,
// checked, and with access for its owner alone. The file appears whole or not at all. One that is there is left alone unless
// replace is set. progress is told how many bytes are written.
func Backup(ctx context.Context, db *gorm.DB, source, target string, replace bool, progress func(bytes int64)) error {
	if err := mayWrite(source, target, replace); err != nil {
		return err
	}
	draft, err := newDraft(target)
	if err != nil {
		return err
	}
	defer removeDatabase(draft)
	stop := watch(draft, progress)
	err = db.WithContext(ctx).Exec("VACUUM INTO ?", draft).Error
	stop()
	if err == nil {
		err = CheckIntact(ctx, draft)
	}
	if err == nil {
		err = sync(draft)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted; there is no backup")
	}
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return publish(draft, target, replace)
}

// mayWrite refuses a target that is there, and the database itself even then.
func mayWrite(source, target string, replace bool) error {
	there, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, suffix := range sqliteSuffixes {
		own, err := os.Stat(source + suffix)
		followed, errTarget := os.Stat(target)
		if err == nil && errTarget == nil && os.SameFile(own, followed) {
			return fmt.Errorf("%s is the database itself; choose another file", target)
		}
	}
	switch {
	case !there.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file; choose another one", target)
	case !replace:
		return errExists(target)
	}
	return nil
}

func errExists(target string) error {
	return fmt.Errorf("%s exists and is not overwritten; choose another file, or add --force", target)
}

// newDraft makes an empty file (0600) beside target. Its path is absolute, so that SQLite takes none for a URI.
func newDraft(target string) (string, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+"-*.partial")
	if err != nil {
		return "", fmt.Errorf("write into the folder of %s: %w", target, err)
	}
	return file.Name(), file.Close()
}

// watch tells progress the size of a file now and then, until it is stopped.
func watch(path string, progress func(bytes int64)) (stop func()) {
	ticker, done, ended := time.NewTicker(progressInterval), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if info, err := os.Stat(path); err == nil {
					progress(info.Size())
				}
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
		<-ended
	}
}

// CheckIntact reads a whole SQLite file that nobody is using, and changes nothing.
func CheckIntact(ctx context.Context, path string) error {
	db, err := gorm.Open(sqliteReader(path), &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true})
	if err != nil {
		return fmt.Errorf("%s is no intact SQLite database: %w", path, err)
	}
	pool, err := db.DB()
	if err != nil {
		return err
	}
	defer pool.Close()
	var problems []string
	if err := db.WithContext(ctx).Raw("PRAGMA integrity_check").Find(&problems).Error; err != nil {
		return fmt.Errorf("%s is no intact SQLite database: %w", path, err)
	}
	if len(problems) != 1 || problems[0] != "ok" {
		return fmt.Errorf("%s is no intact SQLite database: %s", path, strings.Join(problems, "; "))
	}
	return nil
}

// sync makes a file durable.
func sync(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// publish gives a draft its name, durably. Where replace is not set, a file that has appeared meanwhile stays.
func publish(draft, target string, replace bool) error {
	err := os.Link(draft, target)
	switch {
	case err == nil:
		err = os.Remove(draft)
	case replace || !errors.Is(err, fs.ErrExist): // or a file system without hard links
		if !replace {
			if _, err := os.Lstat(target); err == nil {
				return errExists(target)
			}
		}
		err = os.Rename(draft, target)
	default:
		return errExists(target)
	}
	return errors.Join(err, publishFolder(target))
}

// publishFolder makes the names in the folder of a file durable.
func publishFolder(path string) error { return sync(filepath.Dir(path)) }

// sqliteSuffixes are of the files that SQLite has beside a database.
var sqliteSuffixes = []string{"", "-wal", "-shm", "-journal"}

func removeDatabase(path string) {
	for _, suffix := range sqliteSuffixes {
		_ = os.Remove(path + suffix)
	}
}
