package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// debianProgram unpacks a program of Debian's, without installing it: an installed server would start. Where there is none, the
// test is skipped, or fails under scripts/with-clients.
func debianProgram(t *testing.T, path string, packages ...string) string {
	t.Helper()
	folder := t.TempDir()
	output, err := exec.Command("../scripts/unpack-debian", append([]string{folder}, packages...)...).CombinedOutput()
	if err == nil {
		return filepath.Join(folder, path)
	}
	if os.Getenv("FOSITE_MCP_TEST_CLIENTS") != "" {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Skipf("this test needs the Debian package %s: %v", packages[0], err)
	return ""
}

// debianProxy is a proxy of Debian's with a configuration of docs/proxies.
type debianProxy struct {
	name, config, program string
	packages              []string // the program's, and those of libraries that not every machine has
	arguments             func(config, folder string) []string
}

var debianProxies = []debianProxy{
	{"nginx", "nginx.conf", "usr/sbin/nginx", []string{"nginx"}, func(config, folder string) []string {
		return []string{"-c", config, "-p", folder, "-g", "daemon off; pid " + folder + "/nginx.pid; error_log stderr;"}
	}},
	{"caddy", "Caddyfile", "usr/bin/caddy", []string{"caddy"}, func(config, _ string) []string {
		return []string{"run", "--config", config, "--adapter", "caddyfile"}
	}},
	{"haproxy", "haproxy.cfg", "usr/sbin/haproxy", []string{"haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"}, func(config, _ string) []string {
		return []string{"-db", "-f", config}
	}},
}

// start runs the program between front, the authorization server and the MCP server. What it prints is in the result.
func (p debianProxy) start(t *testing.T, program, front, authorization, upstream string) *lockedBuffer {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("../docs/proxies")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, p.config)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"body", "fastcgi", "proxy", "scgi", "uwsgi"} { // which Debian's nginx makes in /var/lib
		_ = os.MkdirAll(filepath.Join(folder, name), 0o700)
	}
	config := strings.NewReplacer("127.0.0.1:8000", front, "127.0.0.1:8080", authorization, "127.0.0.1:9000", upstream,
		"/etc/haproxy", folder, "abns@verify", "abns@verify-"+front).Replace(string(text))
	if p.name == "nginx" { // its own folders, as we are not root everywhere
		config = strings.Replace(config, "http {", "http {\naccess_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; scgi_temp_path scgi; uwsgi_temp_path uwsgi;", 1)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	libraries, err := filepath.Glob(filepath.Join(strings.TrimSuffix(program, p.program), "usr/lib/*-linux-gnu"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, p.arguments(file, folder)...)
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	log := new(lockedBuffer)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Signal(os.Interrupt); _ = command.Wait() })
	return log
}
