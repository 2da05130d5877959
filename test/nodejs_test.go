package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// clientsFolder holds tests with clients that other people publish on npm.
const clientsFolder = "clients"

// node is the Node.js that the packages bring along, because published clients need a newer one than Debian has.
var node = sync.OnceValues(func() (string, error) {
	if err := installPackages(); err != nil {
		return "", err
	}
	architecture := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	program, err := filepath.Abs(filepath.Join(clientsFolder, "node_modules", "node-linux-"+architecture, "bin", "node"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("the npm packages hold no Node.js for %s: %w", runtime.GOARCH, err)
	}
	return program, nil
})

// installPackages installs exactly what package-lock.json names, unless that has been done. Packages run no scripts of
// their own.
func installPackages() error {
	if _, err := exec.LookPath("npm"); err != nil {
		return err
	}
	locked, err := os.Stat(filepath.Join(clientsFolder, "package-lock.json"))
	if err != nil {
		return err
	}
	installed, err := os.Stat(filepath.Join(clientsFolder, "node_modules", ".package-lock.json"))
	if err == nil && installed.ModTime().After(locked.ModTime()) {
		return nil
	}
	command := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	command.Dir = clientsFolder
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, output)
	}
	return nil
}

var chromium = sync.OnceValues(func() (string, error) { return exec.LookPath("chromium") })

// site is everything that a person's client meets: the server, the sample MCP server and an account.
type site struct {
	*server
	resource           string // URL of the MCP server
	username, password string
}

func startSite(t *testing.T, environment ...string) *site {
	t.Helper()
	s, resource := startSearch(t, func(more ...string) *server { return startServer(t, binaries, append(more, environment...)...) })
	password := "correct horse battery staple"
	s.run(password+"\n", "user", "create", "--username", "ada", "--group", "staff", "--password-file", "-")
	return &site{s, resource, "ada", password}
}

// runNode runs one file of clientsFolder against the site.
func (s *site) runNode(t *testing.T, file string, environment ...string) {
	t.Helper()
	program, browser := needClients(t)
	for _, folder := range []string{clientsFolder, filepath.Join(clientsFolder, "lib")} {
		if _, err := os.ReadDir(folder); err != nil { // so that go test notices when a file there has changed since the last run
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), program, "--test", "--test-reporter=spec", "--test-timeout=240000", file)
	command.Dir = clientsFolder
	command.Env = append(os.Environ(), "MCP_URL="+s.resource, "ISSUER=http://"+s.public, "ADMIN_URL=http://"+s.admin, "ADMIN_KEY="+s.adminKey(),
		"LOGIN_USERNAME="+s.username, "LOGIN_PASSWORD="+s.password, "CHROMIUM="+browser, "NO_COLOR=1", "NO_PROXY=127.0.0.1,localhost,[::1]")
	command.Env = append(command.Env, environment...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	output := new(bytes.Buffer)
	command.Stdout, command.Stderr = output, output
	if err := command.Run(); err != nil {
		t.Fatalf("node --test %s: %v\n%s", file, err, output)
	}
	t.Log(strings.TrimSpace(output.String()))
}

// needClients returns Node.js and Chromium. Without them it skips the test, or fails it where they have to be: under
// scripts/with-clients, and so under make test.
func needClients(t *testing.T) (program, browser string) {
	t.Helper()
	program, err := node()
	browser, browserErr := chromium()
	if err = errors.Join(err, browserErr); err == nil {
		return program, browser
	}
	if os.Getenv("FOSITE_MCP_TEST_CLIENTS") != "" {
		t.Fatal(err)
	}
	t.Skipf("this test needs npm and Chromium, which scripts/with-clients installs: %v", err)
	return "", ""
}
