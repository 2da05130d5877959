package cmd

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fosite-mcp/config"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Connections of one server. Each of SQLite's has a cache of 2 MB and answers in microseconds, so a few are plenty.
// PostgreSQL allows 100 in all unless told otherwise, which several replicas share.
const (
	sqliteConnections   = 6
	postgresConnections = 16
)

// openDatabase opens the database that url names and applies the settings that our promises rest on: durable
// commits on both engines. A SQLite file is created with access for its owner alone.
func openDatabase(url config.DatabaseURL) (db *gorm.DB, closeDB func() error, err error) {
	path, isSQLite := url.SQLitePath()
	var dialector gorm.Dialector
	connections := sqliteConnections
	if isSQLite {
		if err := createPrivateFile(path); err != nil {
			return nil, nil, fmt.Errorf("create the database file: %w", err)
		}
		dialector = sqliteDialector(path)
	} else {
		connections = postgresConnections
		if dialector, err = postgresDialector(url.Reveal()); err != nil {
			return nil, nil, err
		}
	}
	db, err = openGORM(dialector)
	if err != nil {
		return nil, nil, fmt.Errorf("open the database %s: %w", url, err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, nil, fmt.Errorf("open the database %s: %w", url, err)
	}
	if !isSQLite {
		if err := reach(pool, url); err != nil {
			return nil, nil, errors.Join(err, pool.Close())
		}
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(10 * time.Minute)
	return db, pool.Close, nil
}

// lockedLimit bounds the wait for a SQLite file that other processes open for the first time.
const lockedLimit = 5 * time.Second

// openGORM opens the dialector, again while it is locked. The first connection of a SQLite file switches it to WAL, and
// where several processes do that at once SQLite refuses all but one without the wait that busy_timeout asks for: each
// of them already reads the file, so it takes them for a deadlock.
func openGORM(dialector gorm.Dialector) (db *gorm.DB, err error) {
	for deadline := time.Now().Add(lockedLimit); ; {
		db, err = gorm.Open(dialector, &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true})
		if err == nil || !isLocked(err) || time.Now().After(deadline) {
			return db, err
		}
		time.Sleep(time.Duration(1+rand.IntN(20)) * time.Millisecond)
	}
}

// isLocked recognises SQLITE_BUSY, for which the two drivers have different types and the same words.
func isLocked(err error) bool { return strings.Contains(err.Error(), "database is locked") }

func postgresDialector(url string) (gorm.Dialector, error) {
	settings, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database.url: %w", err) // pgx leaves the password out
	}
	settings.RuntimeParams["synchronous_commit"] = "on"
	settings.RuntimeParams["application_name"] = "fosite-mcp"
	if settings.ConnectTimeout == 0 {
		settings.ConnectTimeout = 5 * time.Second
	}
	return postgres.New(postgres.Config{Conn: stdlib.OpenDB(*settings)}), nil
}

// reachLimit bounds the wait for PostgreSQL at start, over all addresses of its host.
const reachLimit = 15 * time.Second

// reach tells in one line, and without the password, why a database server does not answer.
func reach(pool *sql.DB, url config.DatabaseURL) error {
	ctx, cancel := context.WithTimeout(context.Background(), reachLimit)
	defer cancel()
	err := pool.PingContext(ctx)
	if err == nil {
		return nil
	}
	cause := strings.Join(strings.Fields(err.Error()), " ")
	var refusal *pgconn.PgError
	var name *net.DNSError
	switch {
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

// createPrivateFile makes sure that path exists; SQLite gives its log files the same permissions.
func createPrivateFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}
