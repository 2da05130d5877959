package database

import "strings"

// Note takes note of how a write ended. Only WritesAgain tells that all is well: a write that changed nothing succeeds on a
// full disk, too.
func (d *DB) Note(err error) {
	if err != nil && isUnwritable(err) {
		d.failure.Store(&err)
	}
}

// WriteFailure is why the last write failed for want of disk space or the like, or nil.
func (d *DB) WriteFailure() error {
	if failure := d.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// WritesAgain says that the database has taken a write.
func (d *DB) WritesAgain() { d.failure.Store(nil) }

// isUnwritable tells failures that all writes share, for want of disk space above all, from those of one statement. The
// two drivers for SQLite have different types for its errors, and the same words.
func isUnwritable(err error) bool {
	if state := sqlState(err); state != "" {
		return state == "53100" || state == "58030" || state == readOnlyTransaction // disk_full, io_error
	}
	for _, words := range []string{
		"database or disk is full", "disk I/O error", "attempt to write a readonly database", "unable to open database file",
	} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// isLocked tells whether another program has had the lock of writers for longer than SQLite's busy_timeout.
func isLocked(err error) bool { return strings.Contains(err.Error(), "database is locked") }
