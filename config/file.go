package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxFileSize bounds the configuration file and every secret file.
const maxFileSize = 1 << 20

// readFile returns the settings of a YAML file by their dotted names.
func readFile(path string, p *problems) map[string]any {
	if path == "" {
		return nil
	}
	content, reason := readBounded(path)
	if reason != "" {
		p.add("--config", "cannot read %s: %s", path, reason)
		return nil
	}
	return parseYAML(content, p)
}

func readBounded(path string) (content []byte, reason string) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileReason(err)
	}
	defer func() { _ = f.Close() }() // only read from
	content, err = io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fileReason(err)
	}
	if len(content) > maxFileSize {
		return nil, "it is larger than 1 MiB"
	}
	return content, ""
}

// fileReason drops the path: in a _FILE variable it may be a secret that was put there by mistake.
func fileReason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// quotedValue finds the pieces of the document that YAML errors quote.
var quotedValue = regexp.MustCompile("(?s)`.*`|'.*'")

func parseYAML(content []byte, p *problems) map[string]any {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil // an empty file
	}
	var tree map[string]any
	if err == nil {
		if root := document.Content[0]; root.Kind != yaml.MappingNode && root.ShortTag() != "!!null" {
			p.add("--config", "the file must hold settings as `name: value` lines")
			return nil
		}
		err = document.Decode(&tree)
	}
	if err == nil && !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF) {
		err = errors.New("the file holds more than one document; keep one and remove the --- lines")
	}
	if err != nil {
		p.add("--config", "%s", quotedValue.ReplaceAllLiteralString(err.Error(), "(value)"))
		return nil
	}
	flat := make(map[string]any)
	flatten("", tree, flat, p)
	return flat
}

// flatten collects known settings under their dotted names and reports the others.
func flatten(prefix string, tree map[string]any, into map[string]any, p *problems) {
	known := make([]string, 0, len(Keys()))
	for _, k := range Keys() {
		known = append(known, k.Name)
	}
	for _, part := range slices.Sorted(maps.Keys(tree)) {
		name, value := prefix+part, tree[part]
		_, twice := into[name]
		switch {
		case twice:
			p.add(name, "is given twice in the file, once with dots and once in a group; keep one")
		case slices.Contains(known, name):
			into[name] = value
		case isGroup(name):
			flattenGroup(name, value, into, p)
		default:
			p.add(shown(name), "is not a setting%s", didYouMean(shown(name), slices.Values(known)))
		}
	}
}

func flattenGroup(name string, value any, into map[string]any, p *problems) {
	switch group := value.(type) {
	case nil: // every line below it is commented out
	case map[string]any:
		flatten(name+".", group, into, p)
	case map[any]any:
		p.add(name, "holds names that are not text; write its settings as `name: value` lines below it")
	default:
		p.add(name, "is a group; write its settings as `name: value` lines below it")
	}
}
