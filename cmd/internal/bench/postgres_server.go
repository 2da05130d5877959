package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fosite-mcp/config"
)

// postgresServer is a PostgreSQL server for the run.
type postgresServer struct {
	programs, folder string
	owner            *account // PostgreSQL refuses to run as root; nil: this user
	process          *process
	said             tail
	url              config.DatabaseURL
}

// account is a user of this machine.
type account struct{ uid, gid uint32 }

// newPostgres starts a PostgreSQL server with a port and a password that nobody else has.
func newPostgres(ctx context.Context, progress func(string, ...any)) (_ *postgresServer, err error) {
	s := &postgresServer{programs: findPostgres()}
	if s.programs == "" {
		return nil, errors.New("--postgres: the programs initdb and postgres are not installed; install PostgreSQL, or name a server with --database")
	}
	base := ""
	if os.Geteuid() == 0 {
		if s.owner, err = accountOf("postgres"); err != nil {
			return nil, err
		}
		base = "/tmp" // TMPDIR may be closed to that account
	}
	if s.folder, err = os.MkdirTemp(base, "fosite-mcp-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	password := rand.Text()
	progress("starting a PostgreSQL server (%s)", s.programs)
	if err := s.initialize(ctx, password); err != nil {
		return nil, err
	}
	for range 5 { // a port is free only as long as nobody else takes it
		if err = s.start(ctx, password); err == nil || !strings.Contains(s.said.String(), "Address already in use") {
			break
		}
	}
	return s, err
}

// stop ends the server and removes its files.
func (s *postgresServer) stop() error {
	if s.process != nil {
		s.process.stop(syscall.SIGQUIT) // its data are not kept
	}
	return os.RemoveAll(s.folder)
}

// findPostgres is the folder of the newest programs that are installed.
func findPostgres() string {
	var folders []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern) // the patterns are right
		folders = append(folders, found...)
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			folders = append(folders, filepath.Dir(initdb))
		}
	}
	folders = slices.DeleteFunc(folders, func(folder string) bool {
		_, initdb := os.Stat(filepath.Join(folder, "initdb"))
		_, postgres := os.Stat(filepath.Join(folder, "postgres"))
		return initdb != nil || postgres != nil
	})
	if len(folders) == 0 {
		return ""
	}
	return slices.MaxFunc(folders, func(a, b string) int { return cmp.Compare(versionIn(a), versionIn(b)) })
}

var number = regexp.MustCompile(`[0-9]+`)

// versionIn is the first number in the name of a folder.
func versionIn(folder string) int {
	version, _ := strconv.Atoi(number.FindString(folder)) // 0: none
	return version
}

func accountOf(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("--postgres: PostgreSQL does not run as root, and there is no account named %s; run this as another user", name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, wrong := strconv.ParseUint(u.Gid, 10, 32)
	return &account{uint32(uid), uint32(gid)}, errors.Join(err, wrong)
}

// command runs one of PostgreSQL's programs. Variables of the user's must not change what it does.
func (s *postgresServer) command(program string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(s.programs, program), arguments...)
	command.Dir = s.folder
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	command.Stdout, command.Stderr = &s.said, &s.said
	if s.owner != nil {
		runAs(command, s.owner)
	}
	return command
}

func (s *postgresServer) initialize(ctx context.Context, password string) error {
	file := filepath.Join(s.folder, "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		for _, path := range []string{s.folder, file} {
			if err := os.Chown(path, int(s.owner.uid), int(s.owner.gid)); err != nil {
				return err
			}
		}
	}
	initdb, err := start(s.command("initdb", "--pgdata", filepath.Join(s.folder, "data"), "--username", "postgres", "--pwfile", file,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"))
	if err != nil {
		return err
	}
	select {
	case <-initdb.ended:
		if initdb.err != nil {
			return s.explain("initdb failed")
		}
		return os.Remove(file)
	case <-ctx.Done():
		initdb.stop(syscall.SIGTERM)
		return ctx.Err()
	}
}

// start starts the server on a free port, and waits until it answers.
func (s *postgresServer) start(ctx context.Context, password string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	_, port, _ := strings.Cut(address, ":")
	s.process, err = start(s.command("postgres", "-D", filepath.Join(s.folder, "data"), "-c", "listen_addresses=127.0.0.1",
		"-c", "port="+port, "-c", "unix_socket_directories="))
	if err != nil {
		return err
	}
	s.url = config.DatabaseURL(fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", password, address))
	for deadline := time.Now().Add(startLimit); ; {
		pool, err := connect(s.url)
		if err == nil {
			return pool.Close()
		}
		if interrupt := pause(ctx, 50*time.Millisecond); interrupt != nil {
			return interrupt
		}
		select {
		case <-s.process.ended:
			return s.explain("the PostgreSQL server does not start")
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("--postgres: %w", err)
		}
	}
}

func (s *postgresServer) explain(what string) error {
	return fmt.Errorf("--postgres: %s:\n%s", what, s.said.String())
}
