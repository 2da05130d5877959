package test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgBouncer is a connection pooler in transaction mode, with the settings that Debian ships otherwise.
type pgBouncer struct {
	t       *testing.T
	folder  string
	owner   *syscall.Credential
	command *exec.Cmd
	log     lockedBuffer
	url     string
}

// startPgBouncer puts a pooler in front of a cluster. Settings are lines of pgbouncer.ini.
func startPgBouncer(t *testing.T, database *cluster, settings ...string) *pgBouncer {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "fosite-mcp-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	b := &pgBouncer{t: t, folder: folder, owner: database.owner}
	t.Cleanup(func() {
		if b.command != nil {
			b.stop()
		}
		_ = os.RemoveAll(folder)
	})
	target, err := url.Parse(database.url)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := target.User.Password()
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	ini := fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\n"+
		"unix_socket_dir =\nauth_type = md5\nauth_file = %s\npool_mode = transaction\n", database.port, port, b.path("users"))
	for _, setting := range settings {
		ini += setting + "\n"
	}
	for path, content := range map[string]string{"pgbouncer.ini": ini, "users": fmt.Sprintf("%q %q\n", "test", password)} {
		if err := os.WriteFile(b.path(path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if b.owner != nil {
		for _, path := range []string{folder, b.path("pgbouncer.ini"), b.path("users")} {
			if err := os.Chown(path, int(b.owner.Uid), int(b.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.url = fmt.Sprintf("postgres://test:%s@127.0.0.1:%s/postgres?sslmode=disable", password, port)
	b.start()
	return b
}

func (b *pgBouncer) path(name string) string { return filepath.Join(b.folder, name) }

func (b *pgBouncer) start() {
	b.t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	b.command = exec.Command(program, b.path("pgbouncer.ini"))
	b.command.Dir, b.command.Stderr = b.folder, &b.log
	b.command.SysProcAttr = &syscall.SysProcAttr{Credential: b.owner}
	if err := b.command.Start(); err != nil {
		b.t.Fatalf("PgBouncer is missing: %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		connection, err := pgx.Connect(context.Background(), b.url)
		if err == nil {
			_ = connection.Close(context.Background())
			return
		}
	}
	b.t.Fatalf("PgBouncer does not start\n%s", &b.log)
}

func (b *pgBouncer) stop() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait()
	b.command = nil
}

// A server behind PgBouncer serves every request, and what it has acknowledged outlives the death of a PostgreSQL that would rather lose the last commits.
func TestBehindPgBouncerEveryRequestIsServedAndDurable(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	for name, settings := range map[string][]string{
		"stock":             nil,
		"one connection":    {"default_pool_size = 1"},
		"dropping the wish": {"ignore_startup_parameters = synchronous_commit,extra_float_digits"},
	} {
		t.Run(name, func(t *testing.T) {
			database := startCluster(t, "synchronous_commit=off", "wal_writer_delay=10s")
			pooler := startPgBouncer(t, database, settings...)
			s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+pooler.url)
			seen, w := underTraffic(t, s)
			seen.await(t, 600)
			w.stop()
			seen.judgeOutages(t)
			database.kill()
			database.start()
			pooler.stop() // otherwise it waits for 15 seconds before it tries again
			pooler.start()
			waitFor(t, "http://"+s.public+"/readyz", s.stderr)
			w.verify(t, 0, 0)
		})
	}
}

// Servers that start together on an empty database behind PgBouncer migrate it one at a time.
func TestServersMigrateTogetherBehindPgBouncer(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	pooler := startPgBouncer(t, startCluster(t), "default_pool_size = 3")
	var group sync.WaitGroup
	for range 6 {
		s := newServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+pooler.url)
		group.Go(func() {
			command := exec.Command(s.binary, "migrate", "up")
			command.Env = s.environment
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
	group.Wait()
}
