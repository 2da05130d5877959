package console

import (
	"slices"
	"strings"
)

// field is one field of a form.
type field struct {
	Name    string // of the member of the API, or of its parameter
	Label   string
	Hint    string
	Kind    kind
	Options []option // of a choice, of boxes and of radio buttons
	Value   string   // text: as it is typed. Boxes: what is ticked, separated by spaces
	Problem string   // what is wrong with it
	Must    bool
	Folded  bool // shown on demand: few need it
}

type kind string

const (
	text    kind = "text"
	lines   kind = "lines"   // one item a line
	instant kind = "instant" // a time, in UTC
	number  kind = "number"
	choice  kind = "choice"
	boxes   kind = "boxes"
	radio   kind = "radio"
)

// option is one of the values to choose from.
type option struct{ Value, Label string }

// Chosen tells whether a value is the field's, or one of them.
func (f field) Chosen(value string) bool {
	if f.Kind == boxes {
		return slices.Contains(strings.Fields(f.Value), value)
	}
	return f.Value == value
}

// Described is the ids of what describes the field.
func (f field) Described() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.Name+"-hint")
	}
	if f.Problem != "" {
		ids = append(ids, f.Name+"-problem")
	}
	return strings.Join(ids, " ")
}

// blame puts each mistake of p beside its field, and returns those that are about no field.
func (p *problem) blame(fields []field) (others []string) {
	for _, mistake := range p.Errors {
		name, _, _ := strings.Cut(strings.TrimLeft(mistake.Pointer, "/?"), "/")
		i := slices.IndexFunc(fields, func(f field) bool { return f.Name == name })
		switch {
		case i < 0:
			others = append(others, strings.TrimSpace(name+" "+mistake.Detail))
		case fields[i].Problem == "":
			fields[i].Problem = mistake.Detail
		default:
			fields[i].Problem += "; " + mistake.Detail
		}
	}
	return others
}
