package search

import (
	"path"
	"regexp"
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
	front, body, why := frontMatter(text)
	if why != "" {
		return p, why
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
// dashes, and what follows the block. It knows a part of YAML: lines with a key
// at their beginning, and lists. A page may be meant for few, so that one with a
// block that is not understood is left out, and why says so.
func frontMatter(text string) (f front, rest, why string) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	start := strings.TrimLeft(text, " \t\n")
	first, block, _ := strings.Cut(start, "\n")
	switch first = strings.TrimRight(first, " \t"); {
	case strings.ContainsRune(text, 0):
		return f, "", "it is not UTF-8 text"
	case strings.HasPrefix(first, "+++"), strings.HasPrefix(first, "---") && strings.Trim(first, "-") != "":
		return f, "", "its first line begins a block that is not understood: use --- and lines such as groups: staff"
	case first != "---":
		return f, text, ""
	}
	of := "" // the member that a line belongs to
	for line := range strings.Lines(block) {
		block = block[len(line):]
		line = strings.TrimRight(line, " \t\n")
		if line == "---" {
			return f, block, ""
		}
		if of, why = f.read(line, of); why != "" {
			return f, "", why
		}
	}
	return f, "", "its first lines begin with --- and no second --- ends them"
}

var memberLine = regexp.MustCompile(`^([A-Za-z0-9_.-]+)[ \t]*:(?:[ \t]+(.*))?$`)

// read reads a line behind the member of, and returns the member that the next
// one belongs to.
func (f *front) read(line, of string) (member, why string) {
	if line == "" || strings.HasPrefix(line, "#") {
		return of, ""
	}
	item, listed := strings.CutPrefix(strings.TrimLeft(line, " \t"), "- ")
	if strings.ContainsAny(line[:1], " \t-") {
		switch {
		case of == "groups" && listed:
			f.groups = append(f.groups, names(item)...)
		case of == "groups", strings.Contains(strings.ToLower(line), "groups"):
			return of, "the groups in its first lines are not understood"
		}
		return of, ""
	}
	found := memberLine.FindStringSubmatch(line)
	if found == nil {
		return of, "its first lines are not understood: write keys without quotes, as groups: staff"
	}
	switch of = strings.ToLower(found[1]); {
	case of == "title":
		f.title = unquoted(found[2])
	case of == "groups" && f.groups == nil: // without a name nobody sees the page
		f.groups = append([]string{}, names(strings.Trim(strings.TrimSpace(found[2]), "[]"))...)
	case strings.HasPrefix(of, "group"):
		return of, "its first lines name groups twice, or in another way than groups: staff"
	}
	return of, ""
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
