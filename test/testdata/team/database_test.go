package team

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/mattn/go-sqlite3"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

// plugin is one of the team's, as it might be for tracing: it keeps each statement.
type plugin struct{ recorder }

func (p *plugin) Name() string { return "team:statements" }

func (p *plugin) Initialize(db *gorm.DB) error {
	keep := func(db *gorm.DB) { p.record(db.Statement.SQL.String()) }
	callbacks := db.Callback()
	for _, register := range []func(string, func(*gorm.DB)) error{
		callbacks.Create().After("*").Register, callbacks.Query().After("*").Register, callbacks.Update().After("*").Register,
		callbacks.Delete().After("*").Register, callbacks.Row().After("*").Register, callbacks.Raw().After("*").Register,
	} {
		if err := register("team:statements", keep); err != nil {
			return err
		}
	}
	return nil
}

// recorder keeps statements. That of a database stands below GORM and database/sql: nothing gets past it.
type recorder struct {
	mu         sync.Mutex
	statements []string
}

// record keeps all but the frames of transactions, which are no statements of GORM's either.
func (r *recorder) record(statement string) {
	statement = strings.TrimSpace(statement)
	for _, frame := range []string{"begin", "commit", "rollback", "-- ping", ";"} {
		if lower := strings.ToLower(statement); strings.HasPrefix(lower, frame) && !strings.HasPrefix(lower, "rollback to") {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, statement)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.statements
	r.statements = nil
	return taken
}

func (r *recorder) sqlite(t *testing.T) gorm.Dialector {
	name := "sqlite3 of " + t.Name()
	sql.Register(name, recordingDriver{r})
	return sqlite.New(sqlite.Config{DriverName: name, DSN: "file:" + filepath.Join(t.TempDir(), "team.db") + "?_journal_mode=WAL&_busy_timeout=5000"})
}

type recordingDriver struct{ to *recorder }

func (d recordingDriver) Open(name string) (driver.Conn, error) {
	conn, err := new(sqlite3.SQLiteDriver).Open(name)
	if err != nil {
		return nil, err
	}
	return &recordingConn{conn.(*sqlite3.SQLiteConn), d.to}, nil
}

type recordingConn struct {
	*sqlite3.SQLiteConn
	to *recorder
}

func (c *recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.to.record(query)
	return c.SQLiteConn.ExecContext(ctx, query, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.to.record(query)
	return c.SQLiteConn.QueryContext(ctx, query, args)
}

func (c *recordingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.to.record(query)
	return c.SQLiteConn.PrepareContext(ctx, query)
}

// postgres is a new database on the server of FOSITE_MCP_TEST_POSTGRES.
func (r *recorder) postgres(t *testing.T) gorm.Dialector {
	server := os.Getenv("FOSITE_MCP_TEST_POSTGRES")
	if server == "" {
		t.Skip("FOSITE_MCP_TEST_POSTGRES names no server")
	}
	outer, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	name := "team_" + strings.ToLower(rand.Text())
	if _, err := outer.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	config.Database, config.Tracer = name, r
	pool := stdlib.OpenDB(*config)
	t.Cleanup(func() {
		_ = pool.Close()
		if _, err := outer.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		_ = outer.Close(context.Background())
	})
	return postgres.New(postgres.Config{Conn: pool})
}

// TraceQueryStart implements [pgx.QueryTracer].
func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.record(data.SQL)
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
