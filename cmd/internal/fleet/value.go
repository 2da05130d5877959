package fleet

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"

	"go.yaml.in/yaml/v3"
)

// knownKind is the kind of a member; empty: there is no such member.
func knownKind(name string) client.Kind {
	if !slices.Contains(client.MemberNames(), name) {
		return ""
	}
	return client.KindOf(name)
}

// valueOf is the value of a member as the admin API takes it. What YAML would make of a text does not count: an id may be 007. nil
// is the member's default.
func valueOf(kind client.Kind, node *yaml.Node) (any, error) {
	if node.Tag == "!!null" {
		return nil, nil
	}
	switch kind {
	case client.Object, client.Keys:
		return object(node)
	case client.List, client.Words:
		words, err := listOf(node)
		if kind == client.Words && err == nil {
			return strings.Join(words, " "), nil
		}
		return words, err
	}
	if node.Kind != yaml.ScalarNode {
		return nil, errors.New("must be one value")
	}
	text := node.Value
	switch kind {
	case client.Flag:
		on, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return nil, errors.New("must be true or false")
		}
		return on, nil
	case client.Seconds:
		if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
			return seconds, nil
		}
		span, err := terminal.ParseSpan(text)
		if err != nil {
			return nil, errors.New("must be seconds, or a duration such as 24h or 90d")
		}
		return int64(span / time.Second), nil
	case client.Time:
		if text == "never" {
			return nil, nil
		}
		at, err := terminal.ParseTime(text)
		if err != nil {
			return nil, errors.New("must be a time such as 2026-12-31T23:59:59Z or 2026-12-31, or never")
		}
		return at, nil
	}
	return text, nil
}

// listOf reads a list, or a text whose words are the list.
func listOf(node *yaml.Node) ([]string, error) {
	if node.Kind == yaml.ScalarNode {
		return append([]string{}, strings.Fields(node.Value)...), nil
	}
	list := []string{}
	for _, item := range node.Content {
		if item = resolved(item); node.Kind != yaml.SequenceNode || item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			return nil, errors.New("must be a list of texts, or texts with spaces between them")
		}
		list = append(list, item.Value)
	}
	return list, nil
}

func object(node *yaml.Node) (any, error) {
	wrong := errors.New("must be an object")
	var value map[string]any
	if node.Kind != yaml.MappingNode || node.Decode(&value) != nil {
		return nil, wrong
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, wrong
	}
	return json.RawMessage(encoded), nil
}
