package authserver

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fosite-mcp/config"
	"fosite-mcp/handlers/admin"
)

// The server does not start with secrets or a database that everybody may read. The command that it names mends that.
func TestFilesThatEverybodyMayReadStopTheStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data with 'quotes'")
	start := func() error {
		r, err := tryReplica(t, "sqlite:"+filepath.Join(data, "fosite-mcp.db"), "FOSITE_MCP_DATA_DIR="+data)
		if err == nil {
			r.stop()
		}
		return err
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"system.secret", "admin.key", "fosite-mcp.db", "fosite-mcp.db-wal"} {
		for _, mode := range []os.FileMode{0o604, 0o644, 0o602, 0o666} {
			path := filepath.Join(data, name)
			if file, err := os.OpenFile(path, os.O_CREATE, 0o600); err != nil || file.Close() != nil { // SQLite has removed its log
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			err := start()
			if err == nil {
				t.Errorf("%s with mode %o: the server starts", name, mode)
				continue
			}
			_, command, found := strings.Cut(err.Error(), "with: ")
			if !found || !strings.HasPrefix(command, "chmod ") {
				t.Errorf("%s: the error names no command: %v", name, err)
				continue
			}
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			if err := start(); err != nil {
				t.Errorf("%s: not mended by %s: %v", name, command, err)
			}
		}
	}
}

func TestGroupsMayReadAndAnOpenFolderIsTold(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startReplica(t, "sqlite:"+filepath.Join(data, "fosite-mcp.db"), "FOSITE_MCP_DATA_DIR="+data).stop()
	for _, name := range []string{"system.secret", "admin.key", "fosite-mcp.db"} {
		if err := os.Chmod(filepath.Join(data, name), 0o660); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	r := startReplica(t, "sqlite:"+filepath.Join(data, "fosite-mcp.db"), "FOSITE_MCP_DATA_DIR="+data)
	if said := r.noticed(); !strings.Contains(said, "chmod o-w "+data) {
		t.Errorf("the server said %q", said)
	}
}

// Files that a setting names are the platform's affair: mounted secrets have mode 0444. The generated ones in the data
// directory are the server's, beside a configured secret too: what they hold may still open something.
func TestAGeneratedSecretStaysPrivateBesideAConfiguredOne(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	environ := []string{"FOSITE_MCP_DATA_DIR=" + data, "FOSITE_MCP_LISTEN=127.0.0.1:0", "FOSITE_MCP_ADMIN_LISTEN=127.0.0.1:0"}
	for name, secret := range map[string]string{"ADMIN_KEY": admin.NewKey(), "SYSTEM_SECRET": rand.Text() + rand.Text(), "DATABASE_URL": "sqlite:" + filepath.Join(data, "x.db")} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(secret), 0o444); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, "FOSITE_MCP_"+name+"_FILE="+path)
	}
	cfg, err := config.Load("", environ)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckDataDir(cfg); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"system.secret", "admin.key"} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, []byte("generated"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := CheckDataDir(cfg); err == nil || !strings.Contains(err.Error(), "chmod o-rwx "+path) {
			t.Errorf("%s with mode 0644: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckDataDir(cfg); err != nil {
			t.Errorf("%s with mode 0600: %v", name, err)
		}
	}
}

// A secret that somebody has typed into a file of the data directory is no better than one in a setting.
func TestTypedSecretsInTheDataDirectoryAreRefused(t *testing.T) {
	for name, want := range map[string]string{
		"admin.key":     "admin key: that in ",
		"system.secret": "system secret: that in ",
	} {
		data := t.TempDir()
		if err := os.WriteFile(filepath.Join(data, name), []byte(strings.Repeat("changeme", 8)), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := tryReplica(t, "sqlite:"+filepath.Join(data, "fosite-mcp.db"), "FOSITE_MCP_DATA_DIR="+data)
		if err == nil {
			r.stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "can be guessed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
