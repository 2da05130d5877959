package strictjson

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Value is a JSON value on its way into a field. A value of the wrong type becomes a mistake at its pointer, and the
// field stays as it is.
type Value struct {
	JSON     any // as [Decode] returns it
	Pointer  string
	Mistakes *Mistakes
}

// Member is a member of an object that [Decode] has read. Its JSON is nil if it is not there.
func Member(object map[string]any, name string, m *Mistakes) Value {
	return Value{JSON: object[name], Pointer: "/" + Escape(name), Mistakes: m}
}

// Wrong notes that the value is not of this kind.
func (v Value) Wrong(kind string) { v.Mistakes.Add(v.Pointer, "wrong_type", "must be %s", kind) }

// Text reads a string.
func (v Value) Text(into *string) {
	text, ok := v.JSON.(string)
	if !ok {
		v.Wrong("a string")
		return
	}
	*into = text
}

// Words reads a list that is separated by spaces, as RFC 6749 §3.3 writes scopes.
func (v Value) Words(into *[]string) {
	text, ok := v.JSON.(string)
	if !ok {
		v.Wrong("a string, its words separated by spaces")
		return
	}
	*into = []string{}
	if text != "" {
		*into = strings.Split(text, " ")
	}
}

// List reads an array of strings.
func (v Value) List(into *[]string) {
	array, ok := v.JSON.([]any)
	if !ok {
		v.Wrong("an array of strings")
		return
	}
	list := make([]string, 0, len(array))
	for i, item := range array {
		text, ok := item.(string)
		if !ok {
			v.Mistakes.Add(v.Pointer+"/"+strconv.Itoa(i), "wrong_type", "must be a string")
		}
		list = append(list, text) // in its place even so: later entries keep their pointers
	}
	*into = list
}

func (v Value) wholeNumber() (n int64, ok bool) {
	number, ok := v.JSON.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := number.Int64()
	return n, err == nil
}

const maxSeconds = math.MaxInt64 / int64(time.Second)

// Seconds reads a span of time.
func (v Value) Seconds(into *time.Duration) {
	n, ok := v.wholeNumber()
	if !ok || n < 0 || n > maxSeconds {
		v.Wrong("a whole number of seconds, not negative")
		return
	}
	*into = time.Duration(n) * time.Second
}

// Time reads a time of RFC 3339.
func (v Value) Time(into *time.Time) {
	text, ok := v.JSON.(string)
	at, valid := ParseTime(text)
	if !ok || !valid {
		v.Wrong("a time such as 2026-01-31T12:00:00Z (RFC 3339)")
		return
	}
	*into = at
}

// ParseTime reads a time of RFC 3339, in whole milliseconds.
func ParseTime(text string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, false
	}
	return at.UTC().Truncate(time.Millisecond), true
}

// Time is a time as [Value.Time] reads it: RFC 3339, UTC, milliseconds.
type Time time.Time

// TimeOf is t, or nil for the zero time.
func TimeOf(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return (*Time)(&t)
}

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

func (t Time) String() string { return time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z") }

// Bool reads true or false.
func (v Value) Bool(into *bool) {
	b, ok := v.JSON.(bool)
	if !ok {
		v.Wrong("true or false")
		return
	}
	*into = b
}

// Object reads an object as it is.
func (v Value) Object(into *json.RawMessage) {
	object, ok := v.JSON.(map[string]any)
	if !ok {
		v.Wrong("a JSON object")
		return
	}
	encoded, err := json.Marshal(object)
	if err != nil {
		v.Wrong("a JSON object")
		return
	}
	*into = encoded
}
