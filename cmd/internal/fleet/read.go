// Package fleet brings the clients of a server to what a file says of them: YAML, JSON or CSV, with the members of the admin API.
// [Read] reads the file, and a [Plan] finds out what to do and does it.
package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"

	"go.yaml.in/yaml/v3"
)

const maxFile = 16 << 20

// validID is what an id may be that is registered here or was imported. It is safe in a file name.
var validID = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$`)

// Entry is one client of the file.
type Entry struct {
	id      string
	line    int
	lines   map[string]int // by pointer
	members map[string]any // what the admin API is sent, without client_id
}

// Read reads a file, and finds all that is wrong with it without asking a server. isCSV: it is no YAML.
func Read(input io.Reader, isCSV bool) ([]*Entry, error) {
	content, err := io.ReadAll(io.LimitReader(input, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	switch {
	case len(content) > maxFile:
		return nil, fmt.Errorf("the file is longer than %d MiB", maxFile>>20)
	case !utf8.Valid(content):
		return nil, errors.New("the file is not UTF-8; save it as UTF-8, as CSV if it is a spreadsheet")
	}
	f := &file{first: map[string]int{}}
	if isCSV {
		err = f.readCSV(content)
	} else {
		err = f.readYAML(content)
	}
	if err != nil {
		return nil, err
	}
	if len(f.entries) == 0 && len(f.mistakes) == 0 {
		return nil, errors.New("the file names no client")
	}
	return f.entries, f.mistakes.err()
}

// file is what was read so far.
type file struct {
	entries  []*Entry
	mistakes mistakes
	first    map[string]int // client id → line
}

// mistakes are those of a file.
type mistakes []apiclient.Mistake

func (m *mistakes) add(line int, id, pointer, code, format string, args ...any) {
	*m = append(*m, apiclient.Mistake{Line: line, ClientID: id, Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// err is all mistakes, in the order of their lines; nil: there are none.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b apiclient.Mistake) int { return a.Line - b.Line })
	text := "the file has mistakes, and nothing was changed:"
	for _, mistake := range m {
		text += "\n  line " + strconv.Itoa(mistake.Line)
		member, place, _ := strings.Cut(strings.TrimPrefix(mistake.Pointer, "/"), "/")
		if member != "" {
			text += ": " + terminal.Printable(member)
		}
		if n, err := strconv.Atoi(place); err == nil && n > 0 {
			text += fmt.Sprintf(" (number %d)", n+1)
		}
		text += ": " + terminal.Printable(mistake.Detail)
	}
	problem := &apiclient.Problem{Title: "The file has mistakes", Detail: "Nothing was changed.", Errors: m}
	return apiclient.Instead(problem, "%s", text)
}

// lineOf is the line of a member, or of the client if the file does not have the member.
func (e *Entry) lineOf(pointer string) int {
	for at := pointer; at != ""; at = at[:strings.LastIndexByte(at, '/')] {
		if line, known := e.lines[at]; known {
			return line
		}
	}
	return e.line
}

// add takes a client whose members are nodes.
func (f *file) add(line int, names []*yaml.Node, values []*yaml.Node) {
	e := &Entry{line: line, lines: map[string]int{}, members: map[string]any{}}
	known := map[string]any{}
	for i, name := range names {
		at := "/" + strictjson.Escape(name.Value)
		if _, twice := known[name.Value]; twice {
			f.mistakes.add(name.Line, "", at, "duplicate", "is there more than once; keep one")
			continue
		}
		known[name.Value], e.lines[at] = true, name.Line
		if !slices.Contains(client.MemberNames(), name.Value) {
			continue
		}
		value, err := valueOf(client.KindOf(name.Value), resolved(values[i]))
		if err != nil {
			f.mistakes.add(values[i].Line, "", at, "wrong_type", "%s", err)
			continue
		}
		for n, item := range resolved(values[i]).Content {
			if client.KindOf(name.Value) == client.List {
				e.lines[at+"/"+strconv.Itoa(n)] = item.Line
			}
		}
		e.members[name.Value] = value
	}
	var unknown strictjson.Mistakes
	strictjson.RefuseUnknown(known, client.MemberNames(), &unknown)
	e.id, _ = e.members["client_id"].(string)
	delete(e.members, "client_id")
	for _, mistake := range unknown {
		f.mistakes.add(e.lineOf(mistake.Pointer), e.id, mistake.Pointer, mistake.Code, "%s", mistake.Detail)
	}
	f.checkID(e, known["client_id"] != nil)
	f.entries = append(f.entries, e)
}

func (f *file) checkID(e *Entry, given bool) {
	const at = "/client_id"
	first, twice := f.first[e.id]
	switch {
	case e.id == "" && given && f.mistakes.at(e.lineOf(at), at):
	case e.id == "":
		f.mistakes.add(e.lineOf(at), "", at, "required", "is missing: it tells which client this is about")
	case len(e.id) > 128 || !validID.MatchString(e.id):
		f.mistakes.add(e.lineOf(at), "", at, "invalid", "must be 1 to 64 letters, digits and _")
	case twice:
		f.mistakes.add(e.lineOf(at), e.id, at, "duplicate", "%s is also in line %d", e.id, first)
	default:
		f.first[e.id] = e.line
	}
}

func (m mistakes) at(line int, pointer string) bool {
	return slices.ContainsFunc(m, func(known apiclient.Mistake) bool { return known.Line == line && known.Pointer == pointer })
}

// resolved is what a YAML alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
