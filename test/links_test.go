package test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkInMarkdown    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingInMarkdown = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	fencedBlock       = regexp.MustCompile("(?ms)^```.*?^```")
)

// anchors are the fragments by which the headings of a document are reached.
func anchors(document string) map[string]bool {
	found := map[string]bool{}
	for _, heading := range headingInMarkdown.FindAllStringSubmatch(document, -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(heading[1], "$1")
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > '~':
				return r
			}
			return -1
		}, strings.ToLower(text))
		found[slug] = true
	}
	return found
}

// A link of a document leads to a file that there is, and to a heading that it has.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	list := exec.Command("git", "ls-files", "-z", "*.md")
	list.Dir = ".."
	output, err := list.Output()
	if err != nil {
		t.Skip("there is no git here: ", err)
	}
	read := map[string]string{}
	text := func(file string) string {
		if _, known := read[file]; !known {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			read[file] = fencedBlock.ReplaceAllString(string(content), "")
		}
		return read[file]
	}
	links := 0
	for name := range strings.SplitSeq(strings.Trim(string(output), "\x00"), "\x00") {
		file := filepath.Join("..", name)
		for _, found := range linkInMarkdown.FindAllStringSubmatch(text(file), -1) {
			target, err := url.Parse(found[1])
			if err != nil {
				t.Errorf("%s: %q is no link: %v", name, found[1], err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			links++
			to := file
			if target.Path != "" {
				to = filepath.Join(filepath.Dir(file), filepath.FromSlash(target.Path))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: there is no %s", name, found[1])
			} else if target.Fragment != "" && !anchors(text(to))[target.Fragment] {
				t.Errorf("%s: %s has no heading for #%s", name, filepath.Base(to), target.Fragment)
			}
		}
	}
	if links < 100 {
		t.Errorf("%d links, want all", links)
	}
}
