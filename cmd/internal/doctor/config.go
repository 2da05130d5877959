package doctor

import (
	"errors"

	"fosite-mcp/config"
)

// OfConfiguration are the findings about settings; err is what [config.Load] said.
func OfConfiguration(err error) (findings []Finding) {
	if err == nil {
		return []Finding{{Check: "configuration", Status: OK, Found: "no mistakes"}}
	}
	mistakes := []error{err}
	if joined, several := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); several {
		mistakes = joined.Unwrap()
	}
	for _, mistake := range mistakes {
		remedy := "correct the setting; docs/configuration.md lists all of them"
		if key, ok := errors.AsType[*config.KeyError](mistake); ok {
			remedy = "correct " + key.Key + "; docs/configuration.md lists all settings"
		}
		findings = append(findings, Finding{Check: "configuration", Status: Problem, Found: mistake.Error(), Remedy: remedy})
	}
	return findings
}
