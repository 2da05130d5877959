package login

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// clean makes text from a stranger fit to be shown: no control characters, nothing invisible, nothing that changes the
// direction of what follows, not too long. Escaping is left to html/template.
func clean(text string, limit int) string {
	var b strings.Builder
	shown, pause, marks := 0, false, 0
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r):
			pause = b.Len() > 0
			continue
		case r == utf8.RuneError || !unicode.IsPrint(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Variation_Selector) || invisible(r):
			continue
		case unicode.Is(unicode.M, r):
			// A letter may carry a few marks; towers of them reach over other lines.
			if marks++; marks > 2 {
				continue
			}
		default:
			marks = 0
		}
		if shown == limit {
			return b.String() + "…"
		}
		if pause {
			b.WriteByte(' ')
			pause = false
			shown++
		}
		b.WriteRune(r)
		shown++
	}
	return b.String()
}

// invisible characters are letters to Unicode and nothing to the eye.
func invisible(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return false
}

// Limits of what is shown, in characters.
const (
	nameLimit       = 80
	identifierLimit = 200
	sentenceLimit   = 300
)

// shownHost is the host of a redirect URI for people. Names in other scripts are shown as they are registered (xn--…),
// because they may look like another name.
func shownHost(redirect *url.URL) string {
	if redirect == nil {
		return ""
	}
	host := redirect.Hostname()
	if ascii, err := idna.ToASCII(host); err == nil {
		host = ascii
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := redirect.Port(); port != "" {
		host += ":" + port
	}
	return clean(strings.ToLower(host), identifierLimit)
}
