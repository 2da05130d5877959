package search

import (
	"path"
	"strings"
)

// page is one Markdown file, read apart into what search needs.
type page struct {
	path     string
	title    string
	headings string
	text     string // the file as it is, as valid UTF-8
}

// parsePage finds the title (front matter, first heading, or the file name)
// and the other headings. What stands in a code fence is not a heading.
func parsePage(name, text string) page {
	text = strings.ToValidUTF8(strings.TrimPrefix(text, "\ufeff"), "\ufffd")
	p := page{path: name, text: text}
	body := text
	if front, rest, ok := frontMatter(text); ok {
		p.title, body = front, rest
	}
	var headings []string
	fence := ""
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		switch {
		case fence != "":
			if strings.HasPrefix(line, fence) {
				fence = ""
			}
		case strings.HasPrefix(line, "```"), strings.HasPrefix(line, "~~~"):
			fence = line[:3]
		default:
			heading, ok := headingText(line)
			if ok && p.title == "" {
				p.title = heading
			} else if ok {
				headings = append(headings, heading)
			}
		}
	}
	p.headings = strings.Join(headings, "\n")
	if p.title == "" {
		p.title = strings.TrimSuffix(path.Base(name), path.Ext(name))
	}
	return p
}

// frontMatter returns the title in a leading block between two lines of three
// dashes, and what follows the block.
func frontMatter(text string) (title, rest string, ok bool) {
	block, ok := strings.CutPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "---\n")
	if !ok {
		return "", "", false
	}
	block, rest, ok = strings.Cut(block, "\n---\n")
	if !ok {
		return "", "", false
	}
	for line := range strings.Lines(block) {
		if value, found := strings.CutPrefix(line, "title:"); found {
			title = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return title, rest, true
}

// headingText returns the text of a heading line such as "## Install ##".
func headingText(line string) (string, bool) {
	marks := len(line) - len(strings.TrimLeft(line, "#"))
	if marks == 0 || marks > 6 || !strings.HasPrefix(line[marks:], " ") {
		return "", false
	}
	text := strings.TrimSpace(strings.TrimRight(strings.TrimSpace(line[marks:]), "#"))
	return text, text != ""
}
