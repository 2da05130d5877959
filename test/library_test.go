package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A team on fosite imports parts of this module into its own. The programs in testdata/library and testdata/team are such
// teams: each is compiled and run in a module of its own, with the replace line that the README shows.
func TestPartsWorkInAnotherModule(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"library", "team"} {
		t.Run(folder, func(t *testing.T) { runInAnotherModule(t, filepath.Join("testdata", folder)) })
	}
}

func runInAnotherModule(t *testing.T, programs string) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`(?m)^module (.*)$`).FindSubmatch(gomod)[1] // not always fosite-mcp: see the README
	// The same versions, under another module name, and without the tools.
	gomod = regexp.MustCompile(`(?m)^module .*$`).ReplaceAll(gomod, []byte("module example.com/team"))
	gomod = regexp.MustCompile(`(?m)^tool .*$`).ReplaceAll(gomod, nil)
	gomod = append(gomod, fmt.Sprintf("\nrequire %[1]s v0.0.0\nreplace %[1]s => %[2]s\n", name, root)...)
	write(t, filepath.Join(folder, "go.mod"), gomod)
	files, err := filepath.Glob(filepath.Join(programs, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range append(files, filepath.Join(root, "go.sum")) {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, filepath.Base(from)), content)
	}
	command := exec.Command("go", "test", "-mod=mod", "-vet=off", "-count=1", "./...")
	command.Dir = folder
	command.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// The Go lines of the README are those that the programs above compile and run, but for example values.
func TestTheGoOfTheREADMEIsCompiled(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := programs(t, "testdata/library/*_test.go")
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	module := regexp.MustCompile(`(?m)^module (.*)$`).FindSubmatch(gomod)[1]
	imports := strings.NewReplacer(`import "fosite-mcp`+"/", `import "`+string(module)+"/") // the README keeps the first name
	examples := regexp.MustCompile(`^(Endpoint|ClientID|ClientSecret): |^http\.Handle|^}\)$`)
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		for line := range strings.Lines(block[1]) {
			line = imports.Replace(strings.TrimSpace(line))
			if !examples.MatchString(line) && !strings.Contains(program, line) {
				t.Errorf("not in testdata/library: %s", line)
			}
		}
	}
}

// programs is the text of the files that match pattern.
func programs(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	var text strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(content)
	}
	return text.String()
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// So are those of docs/embedding.md.
func TestTheGoOfTheEmbeddingDocumentIsCompiled(t *testing.T) {
	document, err := os.ReadFile("../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	program := programs(t, "testdata/team/*_test.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(document), -1)
	if len(blocks) < 5 {
		t.Fatalf("%d blocks of Go, want more", len(blocks))
	}
	for _, block := range blocks {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimSpace(line); !strings.Contains(program, line) {
				t.Errorf("not in testdata/team: %s", line)
			}
		}
	}
}
