package strictjson

import (
	"fmt"
	"slices"
	"strings"
)

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901 §3

// Escape is name as a part of a pointer.
func Escape(name string) string { return pointerEscapes.Replace(name) }

// RefuseUnknown notes the members of object that are not among known.
func RefuseUnknown(object map[string]any, known []string, m *Mistakes) {
	for name := range object {
		if slices.Contains(known, name) {
			continue
		}
		detail := "is not a member of this object"
		if near := Nearest(name, known); near != "" {
			detail += fmt.Sprintf("; did you mean %q?", near)
		}
		m.Add("/"+Escape(name), "unknown_member", "%s", detail)
	}
}

// Nearest is the known name that name was probably meant to be, or "".
func Nearest(name string, known []string) string {
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
