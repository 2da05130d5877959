package config

import (
	"encoding/json"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// testPrefix begins variables that steer this project's tests, not the server.
const testPrefix = variablePrefix + "TEST_"

// Kubernetes puts the address of every service into the environment of every container: a service named fosite-mcp
// gives FOSITE_MCP_SERVICE_HOST, FOSITE_MCP_PORT=tcp://… and more, none of which is meant as a setting.
var (
	serviceVariable = regexp.MustCompile(`^FOSITE_MCP_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	serviceURL      = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// readEnviron returns the settings of the environment by their dotted names.
func readEnviron(environ []string, p *problems) map[string]any {
	variables := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) && !foreign(name, value) {
			variables[name] = value
		}
	}
	values := make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		key, fromFile, ok := resolveVariable(name)
		if !ok {
			p.add(shown(name), "is not a variable of this server%s", suggestVariable(name))
			continue
		}
		switch _, both := variables[key.FileVariable()]; {
		case variables[name] == "":
			p.add(name, "is empty; give it a value or remove the variable")
		case fromFile:
			readSecretFile(key, variables[name], values, p)
		case both:
			p.add(name, "is set together with %s; keep one of them", key.FileVariable())
		default:
			setText(key, name, variables[name], values, p)
		}
	}
	return values
}

// foreign reports variables that share the prefix and belong to someone else.
func foreign(name, value string) bool {
	return strings.HasPrefix(name, testPrefix) || serviceVariable.MatchString(name) ||
		strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(value)
}

// resolveVariable finds the setting of a variable. Names of settings hold underscores themselves, so the name is looked
// up rather than taken apart.
func resolveVariable(name string) (key Key, fromFile, ok bool) {
	for _, k := range Keys() {
		switch {
		case name == k.Variable():
			return k, false, true
		case k.Secret() && name == k.FileVariable():
			return k, true, true
		}
	}
	return Key{}, false, false
}

func readSecretFile(key Key, path string, values map[string]any, p *problems) {
	content, reason := readBounded(path)
	text := strings.TrimRight(string(content), "\r\n")
	switch {
	case reason != "":
		p.add(key.FileVariable(), "cannot read the file that it names: %s", reason)
	case text == "":
		p.add(key.FileVariable(), "the file that it names is empty")
	case key.composite() && !strings.HasPrefix(strings.TrimSpace(text), "["): // a list of secrets: the file of one secret serves as well
		values[key.Name] = []any{text}
	default:
		setText(key, key.FileVariable(), text, values, p)
	}
}

// setText stores text as it is, or as the list or map that it spells in JSON.
func setText(key Key, variable, text string, values map[string]any, p *problems) {
	if !key.composite() {
		values[key.Name] = text
		return
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var value any
	err := decoder.Decode(&value)
	if _, end := decoder.Token(); err != nil || end != io.EOF {
		// The decoder's own message would quote the value.
		p.add(variable, "must be one JSON value, a list or a map as docs/configuration.md shows")
		return
	}
	values[key.Name] = value
}

func suggestVariable(name string) string {
	return didYouMean(shown(name), func(yield func(string) bool) {
		for _, k := range Keys() {
			if !yield(k.Variable()) || k.Secret() && !yield(k.FileVariable()) {
				return
			}
		}
	})
}
