package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bodyKind says what an operation wants to be sent.
type bodyKind int

const (
	bodyNone     bodyKind = iota
	bodyRequired          // application/json
	bodyOptional          // the same, or nothing at all
	bodyPatch             // application/merge-patch+json (RFC 7396) or application/json
)

const (
	maxBody  = 64 << 10
	maxDepth = 32
)

// readBody fills in r.body and r.raw.
func (r *request) readBody(kind bodyKind) error {
	r.body = map[string]any{}
	if kind == bodyNone {
		return nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return newProblem(http.StatusRequestEntityTooLarge, "too-large", "The request is too large", "The body may have up to 64 KiB.")
	}
	if err != nil {
		return badRequest("The body broke off.")
	}
	if len(raw) == 0 && kind == bodyOptional {
		return nil
	}
	accepted := []string{"application/json"}
	if kind == bodyPatch {
		accepted = []string{"application/merge-patch+json", "application/json"}
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(accepted, mediaType) {
		p := newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type", "Send JSON, with Content-Type: "+accepted[0]+".")
		if kind == bodyPatch {
			p = p.with("Accept-Patch", strings.Join(accepted, ", ")) // RFC 5789 §3.1
		}
		return p
	}
	r.raw = raw
	r.body, err = decodeObject(raw)
	return err
}

// decodeObject reads one JSON object. It is stricter than encoding/json, which lets the last of two members of the same
// name win and replaces bytes that are not UTF-8: what one parser reads another one must not read differently.
func decodeObject(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, badRequest("The body is not UTF-8.")
	}
	var probe json.RawMessage
	if err := json.Unmarshal(raw, &probe); err != nil {
		return nil, badRequest("The body is not JSON: %s.", syntaxError(raw, err))
	}
	d := &decoder{json: json.NewDecoder(bytes.NewReader(raw))}
	d.json.UseNumber()
	value, err := d.value("", 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, badRequest("The body must be a JSON object.")
	}
	return object, d.mistakes.err()
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
	mistakes mistakes
}

func (d *decoder) value(pointer string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, badRequest("The body is nested more than %d levels deep.", maxDepth)
	}
	token, err := d.json.Token()
	if err != nil {
		return nil, badRequest("The body is not JSON.")
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
			return nil, badRequest("The body is not JSON.")
		}
		at := pointer + "/" + escapePointer(name)
		value, err := d.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice {
			d.mistakes.add(at, "duplicate", "is there more than once; keep one")
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

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901 §3

func escapePointer(name string) string { return pointerEscapes.Replace(name) }

// mergePatch applies patch to target (RFC 7396 §2).
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged := map[string]any{}
	if object, ok := target.(map[string]any); ok {
		for name, value := range object {
			merged[name] = value
		}
	}
	for name, value := range changes {
		if value == nil {
			delete(merged, name)
			continue
		}
		merged[name] = mergePatch(merged[name], value)
	}
	return merged
}

// refuseUnknown notes the members of object that are not among known.
func refuseUnknown(object map[string]any, known []string, m *mistakes) {
	for name := range object {
		if slices.Contains(known, name) {
			continue
		}
		detail := "is not a member of this object"
		if near := nearest(name, known); near != "" {
			detail += fmt.Sprintf("; did you mean %q?", near)
		}
		m.add("/"+escapePointer(name), "unknown_member", "%s", detail)
	}
}

// nearest is the known name that name was probably meant to be, or "".
func nearest(name string, known []string) string {
	best, bestDistance := "", len(name)/3+1
	for _, candidate := range known {
		if len(name) > 64 {
			break
		}
		if d := distance(strings.ToLower(name), candidate); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
