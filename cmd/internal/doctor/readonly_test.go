//go:build unix

package doctor

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A database that takes no writes is found before the server is started.
func TestADatabaseThatIsReadOnlyIsNamed(t *testing.T) {
	if os.Geteuid() == 0 { // root may write to whatever it likes
		runAsNobody(t)
		return
	}
	for name, mode := range map[string]fs.FileMode{"fosite-mcp.db": 0o400, "": 0o500} {
		s := newSite(t)
		s.chmod(name, mode)
		t.Cleanup(func() { s.chmod(name, mode|0o300) })
		var bad []Finding
		for _, finding := range s.examine() {
			if finding.Status != OK {
				bad = append(bad, finding)
			}
		}
		if len(bad) != 1 || bad[0].Check != "files" || bad[0].Status != Problem || !strings.Contains(bad[0].Remedy, "chmod u+w") {
			t.Errorf("%q of mode %04o: %+v", name, mode, bad)
		}
	}
}

const nobody = 65534

// runAsNobody runs the test once more, as a user without rights, in a folder of that user's.
func runAsNobody(t *testing.T) {
	t.Helper()
	folder, err := os.MkdirTemp("", "nobody") // one of t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	program := filepath.Join(folder, "test")
	binary, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(program, binary, 0o755)
	}
	if err == nil {
		err = os.Chown(folder, nobody, nobody)
	}
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$", "-test.v")
	command.Dir, command.Env = folder, append(os.Environ(), "TMPDIR="+folder, "HOME="+folder)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("as user %d: %v\n%s", nobody, err, output)
	}
}
