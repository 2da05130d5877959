package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A team on fosite imports parts of this module into its own. The programs in testdata/library are such teams: each is
// compiled and run in a module of its own, with the replace line that the README shows.
func TestPartsWorkInAnotherModule(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	// The same versions, under another module name, and without the tools.
	gomod = regexp.MustCompile(`(?m)^module .*$`).ReplaceAll(gomod, []byte("module example.com/team"))
	gomod = regexp.MustCompile(`(?m)^tool .*$`).ReplaceAll(gomod, nil)
	gomod = append(gomod, "\nrequire fosite-mcp v0.0.0\nreplace fosite-mcp => "+root+"\n"...)
	write(t, filepath.Join(folder, "go.mod"), gomod)
	for name, from := range map[string]string{
		"go.sum":          filepath.Join(root, "go.sum"),
		"storage_test.go": "testdata/library/storage_test.go",
		"hook_test.go":    "testdata/library/hook_test.go",
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name), content)
	}
	command := exec.Command("go", "test", "-mod=mod", "-count=1", "./...")
	command.Dir = folder
	command.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
