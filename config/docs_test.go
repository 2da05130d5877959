package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table in docs/configuration.md")

const document = "../docs/configuration.md"

// reference is the table of settings between the markers of the document.
func reference() string {
	var table strings.Builder
	table.WriteString("| setting | default | meaning |\n|---|---|---|\n")
	for _, k := range Keys() {
		name := "`" + k.Name + "`"
		if k.Secret() {
			name += " (secret)"
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", name, strings.ReplaceAll(k.Default(), "|", `\|`), strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	return table.String()
}

func TestTheDocumentListsEverySettingWithItsDefault(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings: written by `make docs` -->\n", "<!-- end of settings -->\n"
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s lost its markers", document)
	}
	want := before + begin + reference() + end + after
	if string(content) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not up to date; run make docs", document)
	}
	if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheExamplesOfTheDocumentLoad(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(content, -1)
	if len(examples) == 0 {
		t.Fatal("no example")
	}
	for _, example := range examples {
		if _, err := load(t, string(example[1])); err != nil {
			t.Errorf("%s\n%v", example[1], err)
		}
	}
}

func TestEverySettingIsDocumentedInOneSentence(t *testing.T) {
	for _, k := range Keys() {
		if !strings.HasSuffix(k.Doc, ".") || strings.Contains(k.Doc, "\n") || k.Default() == "``" {
			t.Errorf("%s: default %s, meaning %q", k.Name, k.Default(), k.Doc)
		}
	}
}

// What the pages call a setting is one, or a group of some.
func TestTheSettingsOfThePagesAreThere(t *testing.T) {
	known := map[string]bool{"admin.logged_in": true, "admin.login_failed": true} // which are actions of the audit log
	groups := map[string]bool{}
	for _, k := range Keys() {
		for name, rest := k.Name, ""; name != ""; name, rest = cutLast(name) {
			known[name] = true
			if rest != "" && !strings.Contains(name, ".") {
				groups[name] = true
			}
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range append(pages, "../README.md", "../SECURITY.md") {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile("`([a-z_]+(?:\\.[a-z_]+)+)(?:\\.\\*|: [^`]*)?`").FindAllStringSubmatch(string(content), -1) {
			group, _, _ := strings.Cut(found[1], ".")
			if !groups[group] {
				continue
			}
			if named++; !known[found[1]] {
				t.Errorf("%s: there is no setting %s", filepath.Base(page), found[1])
			}
		}
	}
	if named < 150 {
		t.Errorf("%d settings are named, want all", named)
	}
}

// cutLast takes the last part off a name.
func cutLast(name string) (before, part string) {
	if i := strings.LastIndex(name, "."); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}
