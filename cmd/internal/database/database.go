// Package database opens the configured database.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/cmd/pgpool"
	"fosite-mcp/config"
	"fosite-mcp/storage"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Open opens the configured database with durable commits on both engines. Close its pool of connections to close it. A
// SQLite file is created with access for its owner alone.
func Open(cfg config.Database) (db *gorm.DB, pool *sql.DB, err error) {
	path, isSQLite := cfg.URL.SQLitePath()
	var dialector gorm.Dialector
	if isSQLite {
		if err := privatefile.CreateEmpty(path); err != nil {
			return nil, nil, fmt.Errorf("create the database file: %w", err)
		}
		dialector = sqliteDialector(path)
	} else {
		pool, err := pgpool.Open(cfg.URL.Reveal(), cfg.MaxConnections)
		if err != nil {
			return nil, nil, fmt.Errorf("database.url: %w", err)
		}
		if err := ping(pool, cfg.URL); err != nil {
			return nil, nil, errors.Join(err, pool.Close())
		}
		dialector = postgres.New(postgres.Config{Conn: pool})
	}
	db, err = openGORM(dialector)
	if err != nil {
		return nil, nil, fmt.Errorf("open the database %s: %w", cfg.URL, err)
	}
	pool, err = db.DB()
	if err != nil {
		return nil, nil, fmt.Errorf("open the database %s: %w", cfg.URL, err)
	}
	if isSQLite {
		pool.SetMaxOpenConns(cfg.MaxConnections)
		pool.SetMaxIdleConns(cfg.MaxConnections)
		pool.SetConnMaxIdleTime(10 * time.Minute)
	}
	return db, pool, nil
}

// lockedLimit bounds the wait for a SQLite file that other processes open for the first time.
const lockedLimit = 5 * time.Second

// openGORM opens the dialector, and tries again while the database is locked. The first connection of a SQLite file switches
// it to WAL. When several processes do that at once, SQLite refuses all but one without waiting for busy_timeout: each of
// them reads the file already, so SQLite takes them for a deadlock.
func openGORM(dialector gorm.Dialector) (db *gorm.DB, err error) {
	for deadline := time.Now().Add(lockedLimit); ; {
		db, err = gorm.Open(dialector, &gorm.Config{
			Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true,
			PrepareStmt: dialector.Name() == "sqlite", // pgx does so itself, and copes with poolers
		})
		if err == nil || !isLocked(err) || time.Now().After(deadline) {
			return db, err
		}
		time.Sleep(time.Duration(1+rand.IntN(20)) * time.Millisecond)
	}
}

// isLocked recognises SQLITE_BUSY by its words: the two drivers have different types for it.
func isLocked(err error) bool { return strings.Contains(err.Error(), "database is locked") }

// pingLimit bounds the wait for PostgreSQL at start, over all addresses of its host.
const pingLimit = 15 * time.Second

// ping connects once. The error says in one line, without the password, why the database server does not answer.
func ping(pool *sql.DB, url config.DatabaseURL) error {
	ctx, cancel := context.WithTimeout(context.Background(), pingLimit)
	defer cancel()
	err := pool.PingContext(ctx)
	if err == nil {
		return nil
	}
	cause := strings.Join(strings.Fields(err.Error()), " ")
	var refusal *pgconn.PgError
	var name *net.DNSError
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		cause = "the server takes no writes; it may be a standby: name the primary, or every server of the cluster"
	case errors.As(err, &refusal) && strings.HasPrefix(refusal.Message, "unsupported startup parameter"):
		cause = refusal.Message + "; take it out of the URL and set it for the role: ALTER ROLE … SET …"
	case errors.As(err, &refusal):
		cause = refusal.Message
	case errors.Is(err, syscall.ECONNREFUSED):
		cause = "the connection is refused"
	case errors.As(err, &name):
		cause = "there is no host " + name.Name
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		cause = "no answer in time"
	}
	return fmt.Errorf("cannot reach the database %s: %s. Is it running, and is database.url right?", url, cause)
}

// Files are the files of a SQLite database in the data directory, with those that SQLite makes beside it.
func Files(cfg config.Config) (paths []string) {
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
	for _, suffix := range sqliteSuffixes {
		paths = append(paths, path+suffix)
	}
	return paths
}

// insufficientPrivilege is PostgreSQL's SQLSTATE.
const insufficientPrivilege = "42501"

// Migrate applies what is pending. Where the role may not, the error says who may.
func Migrate(ctx context.Context, store *storage.Store, pending int) error {
	err := store.Migrate(ctx)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == insufficientPrivilege {
		return fmt.Errorf("%d migrations are pending, and the role of database.url may not change the schema (%s): "+
			"run fosite-mcp migrate up as the role that owns the tables, then start the server", pending, refusal.Message)
	}
	return err
}

// Pending are the migrations that have not been applied.
func Pending(migrations []storage.Migration) []storage.Migration {
	return slices.DeleteFunc(slices.Clone(migrations), func(m storage.Migration) bool { return !m.AppliedAt.IsZero() })
}
