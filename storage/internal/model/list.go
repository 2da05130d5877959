package model

import (
	"database/sql/driver"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// A List (of scopes and the like) is stored with spaces between its items, which none of them may hold; a list that
// breaks the rule (audiences of external clients may) is stored as JSON, and so is what PostgreSQL refuses as text.
type List []string

// Value implements [driver.Valuer].
func (l List) Value() (driver.Value, error) { return l.String(), nil }

// Scan implements [sql.Scanner]. A list is never nil.
func (l *List) Scan(value any) error {
	packed, err := text(l, value)
	*l = ParseList(packed)
	return err
}

// String is the list as it is stored.
func (l List) String() string {
	if slices.ContainsFunc(l, func(s string) bool { return s == "" || strings.ContainsAny(s, " [") || !Storable(s) }) {
		encoded, _ := json.Marshal([]string(l)) // strings always encode
		return string(encoded)
	}
	return strings.Join(l, " ")
}

// ParseList splits at spaces and nothing else: were a tab to split as well, one granted scope could become two.
func ParseList(packed string) List {
	if strings.HasPrefix(packed, "[") {
		var list []string
		if json.Unmarshal([]byte(packed), &list) == nil {
			return list
		}
	}
	if packed == "" {
		return List{}
	}
	return strings.Split(packed, " ")
}

// Storable tells whether PostgreSQL takes s as text. SQLite takes anything.
func Storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
