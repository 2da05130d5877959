package test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// imports says which packages of ours a package may import: those named, and what is below a name that ends with a slash. The
// first row that fits a package counts; one that ends with a slash is for all packages below.
var imports = []struct {
	of  string
	may []string
}{
	{"provider/client", []string{"provider/client/"}},
	{"provider/client/", []string{"provider/client/"}},
	{"provider", []string{"provider/client", "provider/client/", "internal/"}},
	{"internal/", nil},
	{"storage/internal/model", []string{"provider/client"}},
	{"storage/internal/database", []string{"storage/internal/model", "internal/spans"}},
	{"storage/internal/", []string{"storage/internal/"}},
	{"storage/storagetest", nil},
	{"storage", []string{"provider/client", "internal/", "storage/"}},
	{"storage/", []string{"provider/client", "internal/", "storage/audit", "storage/internal/"}},
	{"handlers", []string{"handlers/resource", "provider/client", "provider/client/strictjson", "internal/"}},
	{"handlers/resource", nil},
	{"handlers/limit", []string{"internal/"}},
	{"handlers/clientaddr", []string{"internal/"}},
	{"handlers/login", []string{"handlers", "handlers/limit", "handlers/clientaddr", "provider/client", "internal/"}},
	{"handlers/admin/console", []string{"handlers", "handlers/admin", "handlers/clientaddr", "handlers/login", "provider/client", "storage/audit", "internal/"}},
	{"handlers/", []string{"handlers", "handlers/", "storage", "storage/", "provider/client", "provider/client/", "internal/"}},
	{"config", []string{"provider/client", "provider/client/"}},
	{"cmd/fosite-mcp", []string{"cmd"}},
	{"cmd/mcp-search", []string{"cmd/internal/guard", "cmd/mcp-search/search", "handlers/resource"}},
	{"cmd/mcp-search/", []string{"handlers/resource"}},
	{"cmd/pgpool", nil},
	{"cmd/internal/", []string{"cmd/", "config", "handlers", "handlers/", "internal/", "provider", "provider/", "storage", "storage/"}},
	{"cmd", []string{"cmd/internal/", "config", "handlers/", "provider", "provider/", "storage", "storage/"}},
	{"test", nil},
	{"test/", nil},
}

func fits(pattern, path string) bool {
	return pattern == path || strings.HasSuffix(pattern, "/") && strings.HasPrefix(path, pattern)
}

func TestImportsPointOneWay(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports,Module", "./...")
	list.Dir = ".."
	output, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
			Module     struct{ Path string }
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		of := strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")
		rule := slices.IndexFunc(imports, func(r struct {
			of  string
			may []string
		}) bool {
			return fits(r.of, of)
		})
		if rule < 0 {
			t.Errorf("no rule says what %s may import; add one here and a row to docs/architecture.md", of)
			continue
		}
		for _, imported := range p.Imports {
			path, ours := strings.CutPrefix(imported, p.Module.Path+"/")
			if ours && !slices.ContainsFunc(imports[rule].may, func(may string) bool { return fits(may, path) }) {
				t.Errorf("%s must not import %s", of, path)
			}
			if !ours && of == "handlers/resource" && strings.Contains(imported, ".") {
				t.Errorf("handlers/resource must not import %s: it is for programs that have nothing else", imported)
			}
		}
	}
	if packages < 20 {
		t.Errorf("%d packages, want all", packages)
	}
}

// sources calls use with the path and the content of each file of Go in this module.
func sources(t *testing.T, use func(path, content string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		content, err := os.ReadFile(path)
		use(filepath.ToSlash(path), string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The map names files and functions that there are.
func TestTheMapNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	words := map[string]bool{}
	sources(t, func(path, content string) {
		files = append(files, path)
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for word := range strings.FieldsFuncSeq(content, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			words[word] = true
		}
	})
	qualified := regexp.MustCompile(`^([A-Za-z]+\.)?[A-Za-z]+$`)
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(document), -1) {
		name := quoted[1]
		switch {
		case strings.HasSuffix(name, ".go"):
			if !slices.ContainsFunc(files, func(file string) bool { return strings.HasSuffix(file, "/"+name) }) {
				t.Errorf("there is no file %s", name)
			}
		case qualified.MatchString(name):
			if !words[name[strings.LastIndex(name, ".")+1:]] {
				t.Errorf("there is no %s", name)
			}
		}
	}
}

// Tests that a document names as proof are there.
func TestDocumentsNameTestsThatThereAre(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	function := regexp.MustCompile(`^func (Test[A-Za-z0-9]+)\(`)
	sources(t, func(path, content string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for line := range strings.Lines(content) {
			if found := function.FindStringSubmatch(line); found != nil {
				tests[found[1]] = true
			}
		}
	})
	for _, path := range []string{"../docs/divergences.md", "../docs/decisions/0007-fosite-part-by-part.md"} {
		document, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(document), -1)
		if len(names) < 20 {
			t.Errorf("%s names %d tests, want one for each row", path, len(names))
		}
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("%s: there is no test %s", path, name[1])
			}
		}
	}
}
