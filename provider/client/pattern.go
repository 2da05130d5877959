package client

import (
	"encoding/json"
	"strings"
)

// A Pattern is a text with wildcards: * stands for any characters but / and :, ** for any characters at all. It is compared with
// a whole text, byte by byte.
type Pattern string

// longestMatched is the length of the longest text, in bytes, that a pattern with a wildcard can be: whoever sends one has proven
// nothing yet, and comparing costs time in proportion to it.
const longestMatched = 1 << 10

// Matches tells whether the pattern is text. It takes time in proportion to both at worst, whatever they are.
func (p Pattern) Matches(text string) bool {
	if !strings.Contains(string(p), "*") {
		return string(p) == text
	}
	if len(text) > longestMatched || !strings.HasPrefix(text, p.literal()) {
		return false
	}
	// reach holds, for what was read of the pattern, the lengths of text that it can be.
	reach := make([]bool, len(text)+1)
	reach[0] = true
	for rest := string(p); rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**"):
			rest = rest[2:]
			for i := 1; i <= len(text); i++ {
				reach[i] = reach[i] || reach[i-1]
			}
		case rest[0] == '*':
			rest = rest[1:]
			for i := 1; i <= len(text); i++ {
				reach[i] = reach[i] || reach[i-1] && text[i-1] != '/' && text[i-1] != ':'
			}
		default:
			for i := len(text); i > 0; i-- {
				reach[i] = reach[i-1] && text[i-1] == rest[0]
			}
			reach[0], rest = false, rest[1:]
		}
	}
	return reach[len(text)]
}

// literal is what the pattern begins with before its first wildcard.
func (p Pattern) literal() string {
	before, _, _ := strings.Cut(string(p), "*")
	return before
}

// Fits tells whether the rule is for an assertion with these claims, numbers as [json.Number]: the subject and every claim that
// the rule names must be as it says. An array fits if one item of it does.
func (t *Trust) Fits(claims map[string]any) bool {
	subject, _ := claims["sub"].(string)
	if t.Subject != "" && !Pattern(t.Subject).Matches(subject) {
		return false
	}
	wanted, err := t.wantedClaims()
	return err == nil && fits(wanted, claims)
}

// wantedClaims are the claims of the rule, decoded.
func (t *Trust) wantedClaims() (map[string]any, error) {
	if len(t.Claims) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(t.Claims)))
	decoder.UseNumber()
	var wanted map[string]any
	err := decoder.Decode(&wanted)
	return wanted, err
}

func fits(wanted, found any) bool {
	if items, ok := found.([]any); ok {
		for _, item := range items {
			if _, nested := item.([]any); !nested && fits(wanted, item) {
				return true
			}
		}
		return false
	}
	switch wanted := wanted.(type) {
	case map[string]any:
		members, ok := found.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range wanted {
			if member, there := members[name]; !there || !fits(value, member) {
				return false
			}
		}
		return true
	case string:
		text, ok := found.(string)
		return ok && Pattern(wanted).Matches(text)
	case json.Number:
		number, ok := found.(json.Number)
		return ok && number == wanted
	case bool:
		truth, ok := found.(bool)
		return ok && truth == wanted
	}
	return false
}
