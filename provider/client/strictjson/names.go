package strictjson

import (
	"fmt"
	"slices"
	"strings"

	"fosite-mcp/provider/client/spelling"
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
		if near := spelling.Nearest(name, known); near != "" {
			detail += fmt.Sprintf("; did you mean %q?", near)
		}
		m.Add("/"+Escape(name), "unknown_member", "%s", detail)
	}
}
