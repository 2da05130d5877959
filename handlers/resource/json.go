package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// members are those of a JSON object, by their exact names: encoding/json
// alone takes "ALG" for "alg". A name that comes twice, at any depth, is
// refused (RFC 7515 §4), since two readers may differ about which one counts.
func members(data []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := onlyOnce(decoder, maxDepth); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	var found map[string]json.RawMessage
	if err := json.Unmarshal(data, &found); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	if found == nil {
		return nil, errors.New("it is null")
	}
	return found, nil
}

const (
	// maxDepth is how deep values may be nested. Each level takes some stack.
	maxDepth = 500
	// maxMembers is how many members an object may have. Each takes memory.
	maxMembers = 5000
)

// errTooMany is about a document that is refused before all of it is read.
var errTooMany = errors.New("it has too many parts")

// onlyOnce reads one value of at most that depth.
func onlyOnce(decoder *json.Decoder, depth int) error {
	if depth == 0 {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	token, err := decoder.Token()
	if err != nil {
		return errors.New("it is not JSON")
	}
	opened, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	names := make(map[string]bool)
	for decoder.More() {
		if opened == '{' {
			name, err := decoder.Token()
			if err != nil {
				return errors.New("it is not JSON")
			}
			if len(names) == maxMembers {
				return fmt.Errorf("%w: an object has more than %d members", errTooMany, maxMembers)
			}
			text, _ := name.(string)
			if names[text] {
				return fmt.Errorf("member %q comes twice", text)
			}
			names[text] = true
		}
		if err := onlyOnce(decoder, depth-1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errors.New("it is not JSON")
	}
	return nil
}

// decode puts members into variables. A member that is not there leaves its
// variable as it is.
func decode(found map[string]json.RawMessage, into map[string]any) error {
	for name, variable := range into {
		raw, ok := found[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, variable); err != nil {
			return fmt.Errorf("member %q is not of its type", name)
		}
	}
	return nil
}
