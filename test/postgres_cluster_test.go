package test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is a PostgreSQL server of the test's own, which it may stop, freeze and kill.
type cluster struct {
	t        *testing.T
	programs string // folder of initdb and postgres
	folder   string
	owner    *syscall.Credential // nil: whoever runs the test
	settings []string
	command  *exec.Cmd
	log      lockedBuffer
	port     string
	url      string // of the database
}

// withPostgres tells whether tests are to use PostgreSQL; scripts/with-postgres makes it so.
func withPostgres() bool { return os.Getenv("FOSITE_MCP_TEST_POSTGRES") != "" }

// startCluster makes an empty cluster, starts it, and removes it with the test. Settings are lines of postgresql.conf.
func startCluster(t *testing.T, settings ...string) *cluster {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "fosite-mcp-cluster-") // TMPDIR may be closed to the owner
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, programs: postgresPrograms(t), folder: folder, owner: postgresOwner(t), settings: settings}
	t.Cleanup(func() {
		if c.command != nil {
			c.kill()
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	password := rand.Text()
	passwordFile := filepath.Join(folder, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	if c.owner != nil {
		for _, path := range []string{folder, passwordFile} {
			if err := os.Chown(path, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	initialize := c.program("initdb", "--pgdata", c.data(), "--username", "test", "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	if output, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	_, c.port, err = net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	c.url = fmt.Sprintf("postgres://test:%s@127.0.0.1:%s/postgres?sslmode=disable", password, c.port)
	c.start()
	return c
}

func (c *cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *cluster) program(name string, args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(c.programs, name), args...)
	command.Dir = c.folder
	command.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return command
}

// start starts the server and returns once it accepts connections.
func (c *cluster) start() {
	c.t.Helper()
	args := []string{"-D", c.data(), "-p", c.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + c.folder}
	for _, setting := range c.settings {
		args = append(args, "-c", setting)
	}
	c.command = c.program("postgres", args...)
	c.command.Stderr = &c.log
	if err := c.command.Start(); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		connection, err := pgx.Connect(context.Background(), c.url)
		if err == nil {
			_ = connection.Close(context.Background())
			return
		}
	}
	c.t.Fatalf("PostgreSQL does not start\n%s", &c.log)
}

// stop shuts the server down in order, which ends its connections; from then on they are refused.
func (c *cluster) stop() {
	c.t.Helper()
	if err := c.command.Process.Signal(syscall.SIGINT); err != nil {
		c.t.Fatal(err)
	}
	_ = c.command.Wait()
	c.command = nil
}

// kill ends the server and every process of it at once, as a power failure would.
func (c *cluster) kill() {
	family := c.freeze()
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = c.command.Wait()
	c.command = nil
	for _, pid := range family {
		for processState(pid) != 0 && processState(pid) != 'Z' { // a new server refuses to start beside survivors
			time.Sleep(time.Millisecond)
		}
	}
}

// freeze stops every process of the server in its tracks: connections stay open and answer nothing. It returns who they
// are; the first is the parent of the others.
func (c *cluster) freeze() []int {
	parent := c.command.Process.Pid
	_ = syscall.Kill(parent, syscall.SIGSTOP) // first, so that it makes no more children
	for processState(parent) != 'T' && processState(parent) != 'Z' {
		time.Sleep(time.Millisecond)
	}
	family := append([]int{parent}, children(parent)...)
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return family
}

// thaw lets a frozen server go on.
func (c *cluster) thaw() {
	for _, pid := range append(children(c.command.Process.Pid), c.command.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// postgresPrograms finds the newest installed server, as scripts/with-postgres does.
func postgresPrograms(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatalf("PostgreSQL is missing: %v", err)
	}
	return filepath.Dir(path)
}

// postgresOwner is whom PostgreSQL runs as: it refuses to be root.
func postgresOwner(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL does not run as root: %v", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// children are the processes whose parent is pid.
func children(pid int) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, parent := processStatus(child); parent == pid {
			found = append(found, child)
		}
	}
	return found
}

// processState is R, S, T (stopped), Z (ended) and so on; 0: there is no such process.
func processState(pid int) byte {
	state, _ := processStatus(pid)
	return state
}

func processStatus(pid int) (state byte, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The name in parentheses may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0][0], parent
}
