// Package strictjson reads JSON objects whose every mistake is told, with its place. [Decode] reads an object,
// [RefuseUnknown] looks at its members' names, and a [Value] becomes a field.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const maxDepth = 32

// Decode reads one JSON object, with its numbers as [json.Number]. It is stricter than encoding/json, which lets the last
// of two members of the same name win and replaces bytes that are not UTF-8: two parsers must not read one text
// differently.
//
// Members that are there twice are [Mistakes]. Any other error reads on from a noun, as in "The body is not UTF-8".
func Decode(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("is not UTF-8")
	}
	var probe json.RawMessage
	if err := json.Unmarshal(raw, &probe); err != nil {
		return nil, fmt.Errorf("is not JSON: %s", syntaxError(raw, err))
	}
	d := &decoder{json: json.NewDecoder(bytes.NewReader(raw))}
	d.json.UseNumber()
	value, err := d.value("", 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("must be a JSON object")
	}
	return object, d.mistakes.Err()
}

// syntaxError says what is wrong and where, without repeating what was sent.
func syntaxError(raw []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset < 1 || syntax.Offset > int64(len(raw)) {
		return "it ends too early or holds what is not JSON"
	}
	before := raw[:syntax.Offset-1]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("mistake at line %d, column %d", line, column)
}

// decoder turns JSON that is known to be well-formed into values, and notes members that are there twice.
type decoder struct {
	json     *json.Decoder
	mistakes Mistakes
}

func (d *decoder) value(pointer string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d levels deep", maxDepth)
	}
	token, err := d.json.Token()
	if err != nil {
		return nil, errors.New("is not JSON")
	}
	switch token {
	case json.Delim('{'):
		return d.object(pointer, depth)
	case json.Delim('['):
		return d.array(pointer, depth)
	}
	return token, nil
}

func (d *decoder) object(pointer string, depth int) (map[string]any, error) {
	object := map[string]any{}
	for d.json.More() {
		token, err := d.json.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("is not JSON")
		}
		at := pointer + "/" + Escape(name)
		value, err := d.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice {
			d.mistakes.Add(at, "duplicate", "is there more than once; keep one")
		}
		object[name] = value
	}
	_, err := d.json.Token() // }
	return object, err
}

func (d *decoder) array(pointer string, depth int) ([]any, error) {
	array := []any{}
	for d.json.More() {
		value, err := d.value(pointer+"/"+strconv.Itoa(len(array)), depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := d.json.Token() // ]
	return array, err
}
