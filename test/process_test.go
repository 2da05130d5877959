package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries are the programs as they ship, built once for all tests of this package.
var binaries = sync.OnceValues(func() (string, error) { return build("CGO_ENABLED=1") })

// pureBinaries are the same without C.
var pureBinaries = sync.OnceValues(func() (string, error) { return build("CGO_ENABLED=0") })

var buildFolder string // of all programs

func build(environment string) (folder string, err error) {
	folder = filepath.Join(buildFolder, environment)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	command := exec.Command("go", "build", "-o", folder, "./cmd/...")
	command.Dir = ".."
	command.Env = append(os.Environ(), environment)
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return folder, nil
}

func TestMain(m *testing.M) {
	var err error
	if buildFolder, err = os.MkdirTemp("", "fosite-mcp-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(buildFolder)
	os.Exit(code)
}

// server is a running fosite-mcp.
type server struct {
	t             *testing.T
	command       *exec.Cmd
	data          string
	public, admin string // host:port
	endpoints     string // URL of the OAuth endpoints
	environment   []string
	binary        string
	stderr        *lockedBuffer
}

// newServer prepares the real program with its data in a folder of the test's. Environment entries override.
func newServer(t *testing.T, folder func() (string, error), environment ...string) *server {
	t.Helper()
	binaries, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, binary: filepath.Join(binaries, "fosite-mcp"), data: t.TempDir(), public: freeAddress(t), admin: freeAddress(t)}
	s.endpoints = "http://" + s.public + "/authed/mcp/oauth"
	s.environment = append(append(os.Environ(), "FOSITE_MCP_LISTEN="+s.public, "FOSITE_MCP_ADMIN_LISTEN="+s.admin,
		"FOSITE_MCP_DATA_DIR="+s.data), environment...)
	t.Cleanup(func() {
		if s.command != nil && s.command.ProcessState == nil {
			s.kill()
		}
		if s.stderr != nil {
			wantNoSecret(t, s.stderr.String())
		}
	})
	return s
}

// credential is a token, code, client secret or admin key of ours.
var credential = regexp.MustCompile(`mcp_(at|rt|ac|cs|ak)_[0-9A-Za-z_-]{20,}`)

// wantNoSecret looks for credentials in what a server has logged.
func wantNoSecret(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if found := credential.FindString(line); found != "" {
			t.Errorf("the log holds a credential: %s", strings.ReplaceAll(line, found, found[:12]+"…"))
		}
	}
}

// startServer runs the program and waits until it serves.
func startServer(t *testing.T, folder func() (string, error), environment ...string) *server {
	t.Helper()
	s := newServer(t, folder, environment...)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.awaitReady()
}

// launch starts the program and does not wait.
func (s *server) launch() {
	s.t.Helper()
	s.stderr = new(lockedBuffer)
	s.command = exec.Command(s.binary, "serve")
	s.command.Env, s.command.Stderr = s.environment, s.stderr
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) awaitReady() {
	s.t.Helper()
	waitFor(s.t, "http://"+s.public+"/readyz", s.stderr)
	waitFor(s.t, "http://"+s.admin+"/readyz", s.stderr)
}

// kill ends the server as a power failure would.
func (s *server) kill() {
	_ = s.command.Process.Signal(syscall.SIGKILL)
	_ = s.command.Wait()
}

// run runs a command of the program against this server and returns its stdout.
func (s *server) run(stdin string, args ...string) string {
	s.t.Helper()
	command := exec.Command(s.binary, args...)
	command.Env, command.Stdin = s.environment, strings.NewReader(stdin)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil {
		s.t.Fatalf("fosite-mcp %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(stdout)
}

func (s *server) adminKey() string {
	s.t.Helper()
	key, err := os.ReadFile(filepath.Join(s.data, "admin.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(key))
}

// register creates a client through the admin API.
func (s *server) register(client map[string]any) (id, secret string) {
	s.t.Helper()
	body, err := json.Marshal(client)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+s.admin+"/admin/v1/clients", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.adminKey())
	r.Header.Set("Content-Type", "application/json")
	status, answer := send(s.t, r)
	if status != http.StatusCreated {
		s.t.Fatalf("register: %d %v", status, answer)
	}
	secret, _ = answer["client_secret"].(string) // public clients have none
	return answer["client_id"].(string), secret
}

// call posts a form to an OAuth endpoint as a client.
func (s *server) call(endpoint, id, secret string, parameters ...string) (status int, answer map[string]any) {
	s.t.Helper()
	form := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		form.Add(parameters[i], parameters[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, s.endpoints+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	return send(s.t, r)
}

func (s *server) token(id, secret string) string {
	s.t.Helper()
	status, answer := s.call("/token", id, secret, "grant_type", "client_credentials")
	if status != http.StatusOK {
		s.t.Fatalf("token: %d %v", status, answer)
	}
	return answer["access_token"].(string)
}

func (s *server) active(id, secret, token string) bool {
	s.t.Helper()
	status, answer := s.call("/introspect", id, secret, "token", token)
	active, ok := answer["active"].(bool)
	if status != http.StatusOK || !ok {
		s.t.Fatalf("introspect: %d %v", status, answer)
	}
	return active
}

func send(t *testing.T, r *http.Request) (status int, answer map[string]any) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(body, &answer)
	return response.StatusCode, answer
}

// waitFor waits until a URL answers 200.
func waitFor(t *testing.T, url string, log fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer\n%s", url, log)
}

// freeAddress is an address on loopback that nobody listens at, and that is given once. Its port is none that the system gives to
// connections (from 32768 on, on Linux): one of those would take the place of a server that a test stops and starts again.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(10000))
		if _, given := givenAddresses.LoadOrStore(address, true); given {
			continue
		}
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

var givenAddresses sync.Map

// lockedBuffer collects what a process writes while the test may read it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
