package search

import (
	"path"
	"slices"
	"strings"
)

// page is one Markdown file, read apart into what search needs.
type page struct {
	path     string
	title    string
	headings string
	text     string // the file as it is, as valid UTF-8
	// groups are those of which one must be a person's, who sees the page then;
	// nil: everybody sees it.
	groups []string
}

// visible reports whether somebody in these groups may see the page.
func (p page) visible(groups []string) bool {
	return p.groups == nil || slices.ContainsFunc(p.groups, func(group string) bool { return slices.Contains(groups, group) })
}

// parsePage finds the title (front matter, first heading, or the file name)
// and the other headings. What stands in a code fence is not a heading. why
// tells why the page is left out.
func parsePage(name, text string) (p page, why string) {
	text = strings.ToValidUTF8(strings.TrimPrefix(text, "\ufeff"), "\ufffd")
	p = page{path: name, text: text}
	front, body, ok := frontMatter(text)
	if !ok {
		return p, "its first lines begin with --- and no second --- ends them"
	}
	p.title, p.groups = front.title, front.groups
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
	return p, ""
}

// front is what a page says of itself in its first lines.
type front struct {
	title  string
	groups []string // see page
}

// frontMatter returns what stands in a leading block between two lines of three
// dashes, and what follows the block. A page that begins with such a line and
// has no second one is not ok: it may be meant for few.
func frontMatter(text string) (f front, rest string, ok bool) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	first, block, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(first) != "---" {
		return f, text, true
	}
	of := "" // the member that a list belongs to
	for line := range strings.Lines(block) {
		rest = block[len(line):]
		block = rest
		line = strings.TrimSpace(line)
		if line == "---" {
			return f, rest, true
		}
		if item, listed := strings.CutPrefix(line, "- "); listed && of == "groups" {
			f.groups = append(f.groups, names(item)...)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		switch of = strings.ToLower(strings.TrimSpace(name)); of {
		case "title":
			f.title = unquoted(value)
		case "groups": // without a name nobody sees the page
			f.groups = append([]string{}, names(strings.Trim(strings.TrimSpace(value), "[]"))...)
		}
	}
	return f, "", false
}

func names(list string) (all []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = unquoted(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}

func unquoted(value string) string { return strings.Trim(strings.TrimSpace(value), `"'`) }

// headingText returns the text of a heading line such as "## Install ##".
func headingText(line string) (string, bool) {
	marks := len(line) - len(strings.TrimLeft(line, "#"))
	if marks == 0 || marks > 6 || !strings.HasPrefix(line[marks:], " ") {
		return "", false
	}
	text := strings.TrimSpace(strings.TrimRight(strings.TrimSpace(line[marks:]), "#"))
	return text, text != ""
}
