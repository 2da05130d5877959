package test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// As soon as a database that was restarted accepts connections, every request is answered.
func TestARestartOfPostgresFailsNoRequestAfterwards(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := startCluster(t)
	s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+database.url)
	seen, w := underTraffic(t, s)
	for round := range 4 {
		seen.await(t, 200*(round+1))
		outage := seen.during(func() {
			database.stop()
			database.start()
		})
		seen.await(t, outage+200)
	}
	seen.await(t, 800)
	w.stop()
	seen.judgeOutages(t)
	w.verify(t, 0, 0)
}

// Sessions that an administrator ends, all of them, fail no later request.
func TestSessionsThatAreEndedFailNoLaterRequest(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := startCluster(t)
	s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+database.url)
	seen, w := underTraffic(t, s)
	for round := range 10 {
		seen.await(t, 60*(round+1))
		seen.during(func() {
			database.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'fosite-mcp'")
		})
	}
	seen.await(t, 800)
	w.stop()
	seen.judgeOutages(t)
	w.verify(t, 0, 0)
}

// A role that may have four connections serves as many requests at once as come.
func TestARoleWithFourConnectionsServesEveryRequest(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	database := startCluster(t)
	database.execute("CREATE ROLE app LOGIN PASSWORD 'few-connections' CONNECTION LIMIT 4", "GRANT ALL ON SCHEMA public TO app")
	address, err := url.Parse(database.url)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("app", "few-connections")
	s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+address.String())
	seen := new(witness)
	w := newTraffic(t, s, s.adminKey(), seen.see)
	w.width = 100
	w.run()
	seen.await(t, 800)
	s.run("", "migrate", "status") // which needs one as well
	w.stop()
	seen.judgeOutages(t)
	w.verify(t, 0, 0)
}

// Where the primary is demoted and a standby takes over, requests go on there, whether the old primary comes back as a
// standby or just takes no writes any more and keeps its connections.
func TestAfterAFailoverRequestsGoOnAtTheNewPrimary(t *testing.T) {
	if !withPostgres() {
		return
	}
	t.Parallel()
	for name, demote := range map[string]func(primary, standby *cluster){
		"the old primary becomes a standby": func(primary, standby *cluster) {
			primary.stop()
			standby.execute("SELECT pg_promote()")
			primary.follow(standby)
			primary.settings = nil
			primary.start()
		},
		"the old primary only takes no writes": func(primary, standby *cluster) {
			primary.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			standby.execute("SELECT pg_promote()")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := startCluster(t, "synchronous_standby_names=*", "wal_level=replica")
			standby := primary.standby()
			address := fmt.Sprintf("postgres://test:%s@127.0.0.1:%s,127.0.0.1:%s/postgres?sslmode=disable&target_session_attrs=read-write",
				primary.password(), primary.port, standby.port)
			s := startServer(t, binaries, "FOSITE_MCP_DATABASE_URL="+address)
			seen, w := underTraffic(t, s)
			seen.await(t, 300)
			outage := seen.during(func() { demote(primary, standby) })
			seen.await(t, outage+500)
			w.stop()
			seen.judgeOutages(t)
			w.verify(t, 0, 0)
			waitFor(t, "http://"+s.public+"/readyz", s.stderr)
			if status := get(t, "http://"+s.public+"/readyz"); status != 200 {
				t.Errorf("/readyz: %d", status)
			}
			standby.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
			awaitStatus(t, "http://"+s.public+"/readyz", 503)
		})
	}
}

// execute runs statements as the superuser, each by itself.
func (c *cluster) execute(statements ...string) {
	c.t.Helper()
	connection, err := pgx.Connect(context.Background(), c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer connection.Close(context.Background())
	for _, statement := range statements {
		if _, err := connection.Exec(context.Background(), statement); err != nil {
			c.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (c *cluster) password() string {
	address, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	password, _ := address.User.Password()
	return password
}

// standby starts a second server that streams from c.
func (c *cluster) standby() *cluster {
	t := c.t
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "fosite-mcp-cluster-")
	if err != nil {
		t.Fatal(err)
	}
	s := &cluster{t: t, programs: c.programs, folder: folder, owner: c.owner}
	t.Cleanup(func() {
		if s.command != nil {
			s.kill()
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	if c.owner != nil {
		if err := os.Chown(folder, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	copied := s.program("pg_basebackup", "--pgdata", s.data(), "--dbname", c.url, "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
	if output, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, output)
	}
	if _, s.port, err = net.SplitHostPort(freeAddress(t)); err != nil {
		t.Fatal(err)
	}
	s.url = fmt.Sprintf("postgres://test:%s@127.0.0.1:%s/postgres?sslmode=disable", c.password(), s.port)
	s.start()
	return s
}

// follow makes c, which is stopped, a standby of another server.
func (c *cluster) follow(primary *cluster) {
	c.t.Helper()
	for name, content := range map[string]string{
		"standby.signal":       "",
		"postgresql.auto.conf": fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%s user=test password=%s sslmode=disable'\n", primary.port, c.password()),
	} {
		path := filepath.Join(c.data(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			c.t.Fatal(err)
		}
		if c.owner != nil {
			if err := os.Chown(path, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}
