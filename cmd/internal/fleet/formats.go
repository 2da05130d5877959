package fleet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"fosite-mcp/provider/client"

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
			names = append(names, &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(head[i]), Line: at})
			values = append(values, cellNode(strings.TrimSpace(head[i]), cell, at))
		}
		f.add(line, names, values)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("the file is no CSV: %w", err)
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
