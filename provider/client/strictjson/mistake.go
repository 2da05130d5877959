package strictjson

import (
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong with a document.
type Mistake struct {
	Pointer string `json:"pointer"` // RFC 6901 pointer into the document; ?name for a query parameter
	Code    string `json:"code"`
	Detail  string `json:"detail"` // reads on from the pointer, and quotes no key and no secret

	Value string `json:"-"` // what is wrong, where that tells one mistake from another at the same place
}

// Mistakes is everything that is wrong with a document.
type Mistakes []Mistake

// Add adds a mistake.
func (m *Mistakes) Add(pointer, code, format string, args ...any) {
	*m = append(*m, Mistake{Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// At tells whether there is a mistake at pointer or below it.
func (m Mistakes) At(pointer string) bool {
	return slices.ContainsFunc(m, func(known Mistake) bool {
		return known.Pointer == pointer || strings.HasPrefix(known.Pointer, pointer+"/")
	})
}

// AddNew adds the mistakes in found that are not in before, and none where there is one already.
func (m *Mistakes) AddNew(found, before Mistakes) {
	known := slices.Clone(*m)
	for _, mistake := range found {
		if !slices.Contains(before, mistake) && !known.At(mistake.Pointer) {
			*m = append(*m, mistake)
		}
	}
}

// Err is nil if there are no mistakes, or the mistakes in the order of their pointers.
func (m Mistakes) Err() error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b Mistake) int { return strings.Compare(a.Pointer, b.Pointer) })
	return m
}

// Error implements [error]: one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.Pointer + " " + mistake.Detail
	}
	return strings.Join(lines, "\n")
}

// Quote quotes what somebody sent so that it can stand in a message.
func Quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}
