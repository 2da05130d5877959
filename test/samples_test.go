package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sampleResource is the resource of the document.
const sampleResource = "http://127.0.0.1:9000/authed/mcp"

// The guards of docs/protect.md in other languages, started by the lines of the document.
func TestTheGuardsInOtherLanguages(t *testing.T) {
	nodeProgram, _ := needClients(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("this test needs python3, which scripts/with-clients installs: %v", err)
	}
	s := startServer(t, binaries, `FOSITE_MCP_SCOPES={"mcp:search":{"description":"Search","tools":["search"]},"mcp:other":{"description":"Other"}}`,
		`FOSITE_MCP_RESOURCES={"`+sampleResource+`":{"name":"Documentation","scopes":["mcp:search","mcp:other"]}}`)
	s.environment = append(s.environment, "PATH="+filepath.Dir(s.binary)+":"+filepath.Dir(nodeProgram)+":"+os.Getenv("PATH"))
	folder := filepath.Dir(s.data)
	if err := os.CopyFS(filepath.Join(folder, "docs", "samples"), os.DirFS("../docs/samples")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "fosite-mcp.yaml"), nil, 0o600); err != nil { // the settings are in the environment
		t.Fatal(err)
	}
	register, start := guardLines(t)
	s.paste(t, register)
	id, secret := s.register(map[string]any{"client_name": "agent"})
	settings := register[strings.Index(register, "export "):]
	s.checkKeptAnswers(t, id, secret, func(issuer, line string) *guardProcess {
		return startGuard(t, s, issuer, settings+"\nexport MCP_CACHE=1", line)
	}, start)
	front := startIntrospection(t, s, filepath.Join(folder, "docs_service.secret"))
	good, bad := s.token(id, secret), s.badTokens(t, id, secret)

	guards := map[string]*guardProcess{}
	for _, line := range start {
		language, _, _ := strings.Cut(line, " ")
		guards[language] = startGuard(t, s, front.URL, settings, line)
	}
	held := map[string]net.Conn{}
	for language, guard := range guards {
		held[language] = guard.hold(t, good)
		if answer := heldAnswer(guard.hold(t, bad.revoked)); !strings.Contains(answer, " 401 ") {
			t.Errorf("%s, a revoked token and a body that is held back: %q", language, answer)
		}
	}
	for language, guard := range guards {
		t.Run(language, func(t *testing.T) {
			guard.checkMetadata(t, front.URL)
			bad.check(t, guard.ask, guard.reached)
			front.checkAnswers(t, guard)
			if response := guard.ask(good); response.StatusCode != http.StatusOK || guard.body != "Hello "+id+"\n" {
				t.Errorf("a good token: %d %q\n%s", response.StatusCode, guard.body, guard.log)
			}
		})
	}
	outage := func(name string) {
		for language, guard := range guards {
			response := guard.ask(good)
			if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || response.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s, %s: %d %v", language, name, response.StatusCode, response.Header)
			}
		}
	}
	front.refuse.Store(true)
	outage("the service's own credentials are refused")
	front.Close()
	outage("nobody listens")
	for language, connection := range held {
		if answer := heldAnswer(connection); answer != "" && !strings.Contains(answer, " 408 ") {
			t.Errorf("%s waits for a body that is held back: %q", language, answer)
		}
	}
	for language, guard := range guards {
		log := guard.log.String()
		if !strings.Contains(log, "refuses this service itself") {
			t.Errorf("%s: the log does not say that the credentials are refused:\n%s", language, log)
		}
		for name, value := range map[string]string{"token": good, "revoked token": bad.revoked, "secret": oddSecret, "canned answer": "leaked"} {
			if strings.Contains(log, value) {
				t.Errorf("%s: the log shows the %s", language, name)
			}
		}
	}
}

// guardLines are the lines of the document that register the guards, and those that start one.
func guardLines(t *testing.T) (register string, start []string) {
	t.Helper()
	for _, block := range shellBlocks(t, "docs/protect.md") {
		if strings.Contains(block, "docs_service") {
			register = block
		} else if strings.Contains(block, "docs/samples/") {
			start = append(start, block)
		}
	}
	if register == "" || len(start) != 2 {
		t.Fatalf("docs/protect.md registers with %q and starts %q, want two guards", register, start)
	}
	return register, start
}

// guardProcess is a guard that runs, and what it answered last.
type guardProcess struct {
	address string
	log     *lockedBuffer
	body    string
}

func startGuard(t *testing.T, s *server, issuer, settings, line string) *guardProcess {
	t.Helper()
	guard := &guardProcess{address: freeAddress(t), log: new(lockedBuffer)}
	command := exec.Command("bash", "-euo", "pipefail", "-c", settings+"\nexec "+line)
	command.Dir = filepath.Dir(s.data)
	command.Env = append(slices.Clone(s.environment), "MCP_ISSUER="+issuer, "MCP_LISTEN="+guard.address, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "PYTHONDONTWRITEBYTECODE=1")
	command.Stdout, command.Stderr = guard.log, guard.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	waitFor(t, "http://"+guard.address+"/.well-known/oauth-protected-resource/authed/mcp", guard.log)
	return guard
}

// ask posts a message, with the token in a header of its own for each line of it.
func (g *guardProcess) ask(token string) *http.Response {
	request, err := http.NewRequest(http.MethodPost, "http://"+g.address+"/authed/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(token) {
		request.Header.Add("Authorization", "Bearer "+strings.TrimSpace(line))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return &http.Response{Status: err.Error()}
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	g.body = string(body)
	return response
}

// hold sends a request but for the end of its body. Its token may be revoked before that comes.
func (g *guardProcess) hold(t *testing.T, token string) net.Conn {
	t.Helper()
	connection, err := net.DialTimeout("tcp", g.address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if _, err := fmt.Fprintf(connection, "POST /authed/mcp HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 10\r\n\r\n{", g.address, token); err != nil {
		t.Fatal(err)
	}
	return connection
}

// heldAnswer is the first line of the answer, and empty if the guard hangs up.
func heldAnswer(connection net.Conn) string {
	_ = connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil && err != io.EOF {
		return err.Error()
	}
	return line
}

// reached tells whether the last request came to the MCP server, which says hello.
func (g *guardProcess) reached() bool { return strings.Contains(g.body, "Hello") }

func (g *guardProcess) checkMetadata(t *testing.T, issuer string) {
	t.Helper()
	response, err := http.Get("http://" + g.address + "/.well-known/oauth-protected-resource/authed/mcp")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || response.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v %v", err, response.Header)
	}
	if want := fmt.Sprint(sampleResource, []string{issuer}, []string{"mcp:search"}); fmt.Sprint(got.Resource, got.Servers, got.Scopes) != want {
		t.Errorf("the metadata says %+v, want %s", got, want)
	}
}
