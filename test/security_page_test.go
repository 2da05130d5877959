package test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sectionsOfRFC9700 are those that the page has to answer: the best practices (§2) and the attacks (§4).
func sectionsOfRFC9700() []string {
	sections := []string{"2.1", "2.1.1", "2.1.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6"}
	for attack := 1; attack <= 17; attack++ {
		sections = append(sections, fmt.Sprintf("4.%d", attack))
	}
	return sections
}

// partsOfMCP are what the pages of the MCP specification about security speak of.
var partsOfMCP = []string{
	"audience validation", "token passthrough", "confused deputy", "consent page", "server-side request forgery", "metadata documents",
	"session hijacking", "local server compromise", "stdio transport behind a proxy", "scope minimization", "authorization URLs", "token theft",
}

// Each row of the threat model names files and tests that there are, and no section is left out.
func TestTheThreatModelIsTested(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	files, tests := map[string]bool{}, map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	sources(t, func(file, content string) {
		file = strings.TrimPrefix(file, "../")
		files[file] = true
		for _, found := range function.FindAllStringSubmatch(content, -1) {
			tests[path.Dir(file)+"."+found[1]] = true
		}
	})
	var rows []string
	code, proof := regexp.MustCompile("`([a-zA-Z0-9_/-]+\\.go)`"), regexp.MustCompile("`([a-z/-]+\\.Test[A-Za-z0-9]+)`")
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[1]) == "threat" {
			continue
		}
		row := strings.TrimSpace(cells[0])
		rows = append(rows, row)
		named, proven := code.FindAllStringSubmatch(cells[3], -1), proof.FindAllStringSubmatch(cells[4], -1)
		if len(named) == 0 || len(proven) == 0 {
			t.Errorf("%s: the row names no file or no test: %s", row, line)
		}
		for _, file := range named {
			if !files[file[1]] {
				t.Errorf("%s: there is no file %s", row, file[1])
			}
		}
		for _, test := range proven {
			if !tests[test[1]] {
				t.Errorf("%s: there is no test %s", row, test[1])
			}
		}
	}
	for _, section := range sectionsOfRFC9700() {
		if !slices.Contains(rows, "§"+section) {
			t.Errorf("RFC 9700 §%s has no row", section)
		}
	}
	for _, part := range partsOfMCP {
		if !slices.Contains(rows, part) {
			t.Errorf("%s has no row", part)
		}
	}
	if len(rows) < 60 {
		t.Errorf("%d rows, want all", len(rows))
	}
}
