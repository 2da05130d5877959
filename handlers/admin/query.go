package admin

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/spelling"
	"fosite-mcp/provider/client/strictjson"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	maxParameter = 1024
	maxSpan      = 10 * 365 * 24 * time.Hour
)

// readQuery fills in r.query. Unknown parameters and those that are there twice are mistakes: a filter that is silently
// left out shows too much.
func (r *request) readQuery(known []string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("The query of the URL cannot be decoded.")
	}
	r.query = map[string]string{}
	var m strictjson.Mistakes
	for name, all := range values {
		at := "?" + name
		switch {
		case !slices.Contains(known, name):
			detail := "is not a parameter of this path"
			if near := spelling.Nearest(name, known); near != "" {
				detail += "; did you mean " + near + "?"
			}
			m.Add("?"+printable(name), "unknown_parameter", "%s", detail)
		case len(all) > 1:
			m.Add(at, "duplicate", "is there more than once; keep one")
		case len(all[0]) > maxParameter || !client.IsPlain(all[0]):
			m.Add(at, "invalid", "must be UTF-8 without control characters and at most %d bytes long", maxParameter)
		default:
			r.query[name] = all[0]
		}
	}
	if wanted := r.bool(dryRun, &m); wanted != nil {
		r.dryRun = *wanted
	}
	return m.Err()
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), 80)])
}

// readVars fills in r.vars. It refuses ids that no client can have, before they get to the database.
func (r *request) readVars() error {
	r.vars = map[string]string{}
	for name, segment := range mux.Vars(r.Request) {
		value, err := url.PathUnescape(segment)
		if err != nil || len(value) > maxParameter || !client.IsPlain(value) {
			return notFound(r.kind().nothing)
		}
		r.vars[name] = value
	}
	return nil
}

func (r *request) limit(m *strictjson.Mistakes) int {
	text, given := r.query["limit"]
	if !given {
		return defaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		m.Add("?limit", "invalid", "must be a whole number from 1 to %d", maxLimit)
		return defaultLimit
	}
	return n
}

// cursor reads the place that an earlier page ended at into v, and tells whether there was one.
func (r *request) cursor(v any, m *strictjson.Mistakes) bool {
	text, given := r.query["cursor"]
	if !given {
		return false
	}
	if !decodeCursor(text, v) {
		m.Add("?cursor", "invalid", "must be next_cursor of an earlier page, as it was")
		return false
	}
	return true
}

func decodeCursor(text string, v any) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !utf8.Valid(raw) {
		return false
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	if decoder.Decode(v) != nil {
		return false
	}
	return encodeCursor(v) == text // nothing behind it, and no second way to write it
}

func encodeCursor(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of numbers and strings always encode
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// refuseEmpty adds a mistake for filters that are there and empty: left out, they would show too much.
func (r *request) refuseEmpty(m *strictjson.Mistakes, names ...string) {
	for _, name := range names {
		if value, given := r.query[name]; given && value == "" {
			m.Add("?"+name, "invalid", "must not be empty; leave it out for all")
		}
	}
}

func (r *request) bool(name string, m *strictjson.Mistakes) *bool {
	text, given := r.query[name]
	if !given {
		return nil
	}
	value := text == "true"
	if !value && text != "false" {
		m.Add("?"+name, "invalid", "must be true or false")
		return nil
	}
	return &value
}

func (r *request) time(name string, m *strictjson.Mistakes) time.Time {
	text, given := r.query[name]
	if !given {
		return time.Time{}
	}
	at, ok := strictjson.ParseTime(text)
	if !ok {
		m.Add("?"+name, "invalid", "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)")
	}
	return at
}

// span reads a duration: seconds, or a number with s, m, h or d behind it. Zero: there is none.
func (r *request) span(name string, m *strictjson.Mistakes) time.Duration {
	text, given := r.query[name]
	if !given {
		return 0
	}
	number, unit := text, time.Second
	for suffix, of := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if cut, found := strings.CutSuffix(text, suffix); found {
			number, unit = cut, of
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err == nil && n > 0 && n <= uint64(maxSpan/unit) {
		return time.Duration(n) * unit
	}
	m.Add("?"+name, "invalid", "must be a duration of up to 10 years: seconds, or a number with m, h or d behind it, such as 90d")
	return 0
}

// page is one page of a list.
type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}
