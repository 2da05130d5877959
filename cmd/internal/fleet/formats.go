package fleet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"

	"go.yaml.in/yaml/v3"
)

// readYAML reads a list of clients, which may be the member clients of an object, or items as client list --json prints it. JSON is
// YAML, too.
func (f *file) readYAML(content []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	} else if err != nil {
		return fmt.Errorf("the file is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("the file holds more than one YAML document; keep one")
	}
	list := resolved(document.Content[0])
	if list.Kind == yaml.MappingNode {
		name := list.Content
		if len(name) != 2 || name[0].Value != "clients" && name[0].Value != "items" {
			return errors.New("want a list of clients, or one member clients with this list")
		}
		list = resolved(name[1])
	}
	if list.Kind != yaml.SequenceNode {
		return errors.New("want a list of clients, or one member clients with this list")
	}
	for _, item := range list.Content {
		item = resolved(item)
		if item.Kind != yaml.MappingNode {
			f.mistakes.add(item.Line, "", "", "wrong_type", "must be a client: names and values such as client_id: ci")
			continue
		}
		var names, values []*yaml.Node
		for i := 0; i < len(item.Content); i += 2 {
			names, values = append(names, item.Content[i]), append(values, item.Content[i+1])
		}
		f.add(item.Line, names, values)
	}
	return nil
}

// readCSV reads a spreadsheet whose first line names the members. An empty cell is a member that is left out.
func (f *file) readCSV(content []byte) error {
	reader := csv.NewReader(bytes.NewReader(content))
	reader.FieldsPerRecord = -1
	if head, _, _ := bytes.Cut(content, []byte("\n")); bytes.ContainsRune(head, ';') && !bytes.ContainsRune(head, ',') {
		reader.Comma = ';' // as spreadsheets write it in much of Europe
	}
	head, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	}
	if err == nil && !f.checkHead(head) {
		return nil // each line would be told the same
	}
	for err == nil {
		var cells []string
		if cells, err = reader.Read(); err != nil {
			break
		}
		if strings.Join(cells, "") == "" {
			continue
		}
		line, _ := reader.FieldPos(0)
		if len(cells) != len(head) { // a comma too few would put all that follows under other names
			f.mistakes.add(line, "", "", "invalid", "has %d cells, and the first line names %d; leave a cell empty, and quote one that holds a comma", len(cells), len(head))
			continue
		}
		var names, values []*yaml.Node
		for i, cell := range cells {
			if cell = strings.TrimSpace(cell); cell == "" {
				continue
			}
			at, _ := reader.FieldPos(i)
			names = append(names, &yaml.Node{Kind: yaml.ScalarNode, Value: head[i], Line: at})
			values = append(values, cellNode(head[i], cell, at))
		}
		f.add(line, names, values)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	var broken *csv.ParseError
	if errors.As(err, &broken) { // whose own text names the line where the file ends, too
		return fmt.Errorf("the file is no CSV: line %d: a quote is not closed, or stands in a cell and is not doubled", broken.StartLine)
	}
	return fmt.Errorf("the file is no CSV: %w", err)
}

// checkHead tells whether the first line names members, each once, and the id among them.
func (f *file) checkHead(head []string) bool {
	before, named := len(f.mistakes), map[string]any{}
	for i, cell := range head {
		head[i] = strings.TrimSpace(cell)
		if _, twice := named[head[i]]; twice && head[i] != "" {
			f.mistakes.add(1, "", "/"+strictjson.Escape(head[i]), "duplicate", "names two columns; keep one")
		}
		named[head[i]] = true
	}
	delete(named, "") // a column without a name, which its cells are told of
	var unknown strictjson.Mistakes
	strictjson.RefuseUnknown(named, client.MemberNames(), &unknown)
	slices.SortFunc(unknown, func(a, b strictjson.Mistake) int { return strings.Compare(a.Pointer, b.Pointer) })
	for _, mistake := range unknown {
		f.mistakes.add(1, "", mistake.Pointer, mistake.Code, "%s", mistake.Detail)
	}
	if named["client_id"] == nil {
		f.mistakes.add(1, "", "/client_id", "required", "is missing: the first line names the columns, and this one tells which client a line is about")
	}
	return len(f.mistakes) == before
}

// cellNode is a cell as YAML: an object is written as JSON in it, everything else as text.
func cellNode(name, cell string, line int) *yaml.Node {
	if member := knownKind(name); member == client.Object || member == client.Keys {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(cell), &document); err == nil && len(document.Content) == 1 {
			document.Content[0].Line = line
			return document.Content[0]
		}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: cell, Line: line}
}
