package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is acknowledged is durable: a revocation survives the death of the server in the next instant.
func TestARevocationSurvivesKill9(t *testing.T) {
	s := startServer(t, binaries)
	id, secret := s.register(map[string]any{"client_name": "ci"})
	kept, revoked := s.token(id, secret), s.token(id, secret)
	if status, answer := s.call("/revoke", id, secret, "token", revoked); status != http.StatusOK {
		t.Fatalf("revoke: %d %v", status, answer)
	}
	s.kill()
	s.start()
	if s.active(id, secret, revoked) {
		t.Error("the revoked token is alive after the restart")
	}
	if !s.active(id, secret, kept) {
		t.Error("the other token did not survive the restart")
	}
}

// Without a C compiler the server is built with another SQLite, and must do the same.
func TestTheServerRunsWithoutCGO(t *testing.T) {
	s := startServer(t, pureBinaries)
	id, secret := s.register(map[string]any{"client_name": "ci"})
	token := s.token(id, secret)
	if !s.active(id, secret, token) {
		t.Error("a fresh token is inactive")
	}
	s.call("/revoke", id, secret, "token", token)
	if s.active(id, secret, token) {
		t.Error("a revoked token is active")
	}
}

func TestTheDataFolderIsForItsOwnerAlone(t *testing.T) {
	s := startServer(t, binaries)
	_ = s.run("", "client", "list")
	entries, err := os.ReadDir(s.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", entry.Name(), info.Mode().Perm())
		}
	}
}

// The secret of a client is shown once: it is not in the database, not in the log, and not in a second answer.
func TestASecretIsNowhere(t *testing.T) {
	s := startServer(t, binaries, "FOSITE_MCP_LOG_LEVEL=debug")
	id, secret := s.register(map[string]any{"client_name": "ci"})
	token := s.token(id, secret)
	s.call("/token", id, "wrong"+secret, "grant_type", "client_credentials")
	s.call("/revoke", id, secret, "token", s.token(id, secret))
	shown := s.run("", "client", "show", id, "--json")
	s.kill()
	files, err := filepath.Glob(filepath.Join(s.data, "*"))
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{"log": s.stderr.String(), "client show": shown}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(file)] = string(content)
	}
	_, signature, _ := strings.Cut(token, ".")
	for place, content := range places {
		for name, value := range map[string]string{"secret": secret, "token": token, "token's signature": signature} {
			if strings.Contains(content, value) {
				t.Errorf("the %s is in %s", name, place)
			}
		}
	}
}

func TestAnotherIssuerIsRefused(t *testing.T) {
	s := startServer(t, binaries)
	s.kill()
	command := exec.Command(s.binary, "serve")
	command.Env = append(s.environment, "FOSITE_MCP_ISSUER=http://localhost:1")
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "http://"+s.public) || !strings.Contains(string(output), "cannot change") {
		t.Errorf("got %v: %s", err, output)
	}
}

func TestTheDemoTellsItsStory(t *testing.T) {
	folder, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(folder, "fosite-mcp"), "demo")
	command.Dir = t.TempDir()
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if entries, _ := os.ReadDir(command.Dir); len(entries) != 0 {
		t.Errorf("the demo left %v behind", entries)
	}
	for _, secret := range []string{"mcp_ak_"} {
		if strings.Contains(string(output), secret) {
			t.Errorf("the demo prints %s…", secret)
		}
	}
}
