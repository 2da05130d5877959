// Package params has the rules for the parameters of a request that every endpoint keeps (RFC 6749 §3.1 and §3.2). It imports
// nothing of ours, so that every package may use it.
package params

import (
	"maps"
	"net/url"
	"slices"
)

// DropEmpty takes parameters without a value out of a form, because they count as left out. A second one that has a value is
// then the only one. Whoever reads a request has to read it so, or takes it for another one.
func DropEmpty(form url.Values) {
	for name, values := range form {
		if values = slices.DeleteFunc(values, func(value string) bool { return value == "" }); len(values) == 0 {
			delete(form, name)
		} else {
			form[name] = values
		}
	}
}

// WithoutEmpty is a copy of a form, without what [DropEmpty] takes out.
func WithoutEmpty(form url.Values) url.Values {
	given := make(url.Values, len(form))
	for name, values := range form {
		given[name] = slices.Clone(values)
	}
	DropEmpty(given)
	return given
}

// Join is what two forms hold. It is the first one itself where the second one is empty.
func Join(first, second url.Values) url.Values {
	if len(second) == 0 {
		return first
	}
	both := maps.Clone(first)
	for name, values := range second {
		both[name] = slices.Concat(both[name], values)
	}
	return both
}

// Repeated is the first parameter, by name, that is there more than once although it must not; empty: there is none. RFC 8707
// §2 excepts resource, and audience is its older name.
func Repeated(form url.Values) (first string) {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" && (first == "" || name < first) {
			first = name
		}
	}
	return first
}
