package config

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"fosite-mcp/provider/client/spelling"
)

// KeyError is one mistake in the configuration. Load and Resolve join all of them.
type KeyError struct {
	Key     string // name of the setting, or of the environment variable when the variable itself is wrong
	Message string // what is wrong and what to do
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Message }

// problems collects mistakes, so that a user sees all of them at once.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, &KeyError{Key: key, Message: fmt.Sprintf(format, args...)})
}

func (p problems) join() error { return errors.Join(p...) }

// didYouMean names the candidate nearest to an unknown name, as a clause to append. The variables' common prefix does
// not count towards likeness.
func didYouMean(name string, candidates iter.Seq[string]) string {
	name = strings.TrimPrefix(name, variablePrefix)
	best, distance := "", len(name)/2+1
	for candidate := range candidates {
		if d := spelling.Distance(name, strings.TrimPrefix(candidate, variablePrefix)); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return "; docs/configuration.md lists every setting"
	}
	return "; did you mean " + best + "?"
}

// maxNameLength bounds what a suggestion is looked for: longer names are no slip of the finger.
const maxNameLength = 200

// shown shortens an unknown name for a message.
func shown(name string) string {
	if len(name) <= maxNameLength {
		return name
	}
	return name[:maxNameLength] + "…"
}
