package model

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Time is stored as Unix milliseconds, which order, index and compare alike on both engines. The zero time is NULL:
// "never". Times beyond what milliseconds can say, which anybody can write into an assertion, are the first and the last
// one of them.
type Time struct{ time.Time }

// At is t as a column.
func At(t time.Time) Time { return Time{t} }

// Millis is how t is stored.
func Millis(t time.Time) int64 {
	switch {
	case t.After(lastTime):
		return math.MaxInt64
	case t.Before(firstTime):
		return math.MinInt64
	}
	return t.UnixMilli()
}

var firstTime, lastTime = time.UnixMilli(math.MinInt64), time.UnixMilli(math.MaxInt64)

// Value implements [driver.Valuer].
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return Millis(t.Time), nil
}

// Scan implements [sql.Scanner].
func (t *Time) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time{time.UnixMilli(v).UTC()}
	default:
		return wrongType[Time](value)
	}
	return nil
}

// GormDataType is the type of the column. It keeps GORM from filling CreatedAt and UpdatedAt by its own clock.
func (Time) GormDataType() string { return "BIGINT" }

// Seconds is a span of whole seconds.
type Seconds time.Duration

// Value implements [driver.Valuer].
func (s Seconds) Value() (driver.Value, error) { return int64(time.Duration(s) / time.Second), nil }

// Scan implements [sql.Scanner].
func (s *Seconds) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return wrongType[Seconds](value)
	}
	*s = Seconds(time.Duration(n) * time.Second)
	return nil
}

// A Flag is stored as 0 or 1.
type Flag bool

// Value implements [driver.Valuer].
func (f Flag) Value() (driver.Value, error) {
	if f {
		return int64(1), nil
	}
	return int64(0), nil
}

// Scan implements [sql.Scanner].
func (f *Flag) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return wrongType[Flag](value)
	}
	*f = n != 0
	return nil
}

// A Hash is bytes; nil is NULL. As an argument of GORM's Raw it is one value wherever it stands, where []byte right behind
// a parenthesis becomes a list.
type Hash []byte

// Value implements [driver.Valuer].
func (h Hash) Value() (driver.Value, error) {
	if h == nil {
		return nil, nil
	}
	return []byte(h), nil
}

// Scan implements [sql.Scanner].
func (h *Hash) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*h = nil
	case []byte:
		*h = append(Hash{}, v...)
	case string:
		*h = Hash(v)
	default:
		return wrongType[Hash](value)
	}
	return nil
}

// A Text is NULL if it is empty.
type Text string

// Value implements [driver.Valuer].
func (t Text) Value() (driver.Value, error) {
	if t == "" {
		return nil, nil
	}
	return string(t), nil
}

// Scan implements [sql.Scanner].
func (t *Text) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*t = ""
	case string:
		*t = Text(v)
	case []byte:
		*t = Text(v)
	default:
		return wrongType[Text](value)
	}
	return nil
}

// A Form is one that [net/url.Values.Encode] has written. What every machine sends is stored as a character that no such form
// holds, because there is a form in each row.
type Form string

const machinesForm = "grant_type=client_credentials"

// Value implements [driver.Valuer].
func (f Form) Value() (driver.Value, error) {
	return Text(strings.Replace(string(f), machinesForm, "!", 1)).Value()
}

// Scan implements [sql.Scanner].
func (f *Form) Scan(value any) error {
	var text Text
	if text.Scan(value) != nil {
		return wrongType[Form](value)
	}
	*f = Form(strings.Replace(string(text), "!", machinesForm, 1))
	return nil
}

// JSON is kept byte by byte; nil is the empty text.
type JSON json.RawMessage

// Value implements [driver.Valuer].
func (j JSON) Value() (driver.Value, error) { return string(j), nil }

// Scan implements [sql.Scanner].
func (j *JSON) Scan(value any) error {
	var text Text
	if text.Scan(value) != nil {
		return wrongType[JSON](value)
	}
	*j = nil
	if text != "" {
		*j = JSON(text)
	}
	return nil
}

// A List (of scopes and the like) is stored with spaces between its items, which none of them may hold; a list that
// breaks the rule (audiences of external clients may) is stored as JSON, and so is what PostgreSQL refuses as text.
type List []string

// Value implements [driver.Valuer].
func (l List) Value() (driver.Value, error) { return l.String(), nil }

// String is the list as it is stored.
func (l List) String() string {
	if slices.ContainsFunc(l, func(s string) bool { return s == "" || strings.ContainsAny(s, " [") || !Storable(s) }) {
		encoded, _ := json.Marshal([]string(l)) // strings always encode
		return string(encoded)
	}
	return strings.Join(l, " ")
}

// Scan implements [sql.Scanner]. It splits at spaces and nothing else: were a tab to split as well, one granted scope could
// become two. A list is never nil.
func (l *List) Scan(value any) error {
	var text Text
	if text.Scan(value) != nil {
		return wrongType[List](value)
	}
	if strings.HasPrefix(string(text), "[") {
		var list []string
		if json.Unmarshal([]byte(text), &list) == nil {
			*l = list
			return nil
		}
	}
	*l = List{}
	if text != "" {
		*l = strings.Split(string(text), " ")
	}
	return nil
}

// Storable tells whether PostgreSQL takes s as text. SQLite takes anything.
func Storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// wrongType says no more of the value than its type: it may be a secret's hash.
func wrongType[Column any](value any) error {
	return fmt.Errorf("storage: a column of type %T holds a %T", (*Column)(nil), value)
}
