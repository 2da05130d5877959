package config

import (
	"flag"
	"fmt"
	"os"
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
