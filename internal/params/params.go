// Package params has the rules for the parameters of a request that every endpoint keeps (RFC 6749 §3.1 and §3.2). It imports
// nothing of ours, so that every package may use it.
package params

import "net/url"

// WithoutEmpty leaves out parameters without a value, which count as left out. A second one that has a value is then the only
// one. Whoever reads a request has to read it so, or takes it for another one.
func WithoutEmpty(form url.Values) url.Values {
	given := url.Values{}
	for name, values := range form {
		for _, value := range values {
			if value != "" {
				given.Add(name, value)
			}
		}
	}
	return given
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
