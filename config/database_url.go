package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// DatabaseURL is sqlite:PATH or a postgres:// URL. It formats, logs and marshals with its password masked.
type DatabaseURL string

// Reveal returns the URL with its password, for the database driver.
func (u DatabaseURL) Reveal() string { return string(u) }

// SQLitePath returns PATH of sqlite:PATH, as it is written there: no character has a meaning. ok is false for PostgreSQL.
func (u DatabaseURL) SQLitePath() (path string, ok bool) {
	path, ok = strings.CutPrefix(string(u), "sqlite:")
	if strings.HasPrefix(path, "///") { // a URL with no host between the slashes
		path = "/" + strings.TrimLeft(path, "/")
	}
	return path, ok
}

// IsPostgres reports whether the URL names a PostgreSQL database.
func (u DatabaseURL) IsPostgres() bool {
	return strings.HasPrefix(string(u), "postgres://") || strings.HasPrefix(string(u), "postgresql://")
}

// String returns the URL with its password masked. What cannot be taken apart is masked whole.
func (u DatabaseURL) String() string {
	if _, ok := u.SQLitePath(); ok || u == "" {
		return string(u)
	}
	parsed, err := u.parse()
	if err != nil || !u.IsPostgres() || u.misplaced(parsed) {
		return mask
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return mask
	}
	if _, ok := parsed.User.Password(); ok {
		parsed.User = url.UserPassword(parsed.User.Username(), mask)
	}
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") { // password and sslpassword
			query.Set(name, mask)
			parsed.RawQuery = query.Encode()
		}
	}
	return parsed.String()
}

// parse is url.Parse for URLs that may name several hosts, separated by commas, which are the Host of the result then.
func (u DatabaseURL) parse() (*url.URL, error) {
	scheme, rest, _ := strings.Cut(string(u), "://")
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	user := authority[:strings.LastIndex(authority, "@")+1]
	hosts := authority[len(user):]
	if !strings.Contains(hosts, ",") {
		return url.Parse(string(u))
	}
	for _, host := range strings.Split(hosts, ",") {
		if one, err := url.Parse(scheme + "://" + host); err != nil || one.Hostname() == "" {
			return nil, errors.New("a host that cannot be read")
		}
	}
	parsed, err := url.Parse(scheme + "://" + user + "host" + rest[len(authority):])
	if err == nil {
		parsed.Host = hosts
	}
	return parsed, err
}

// misplaced reports an @ or # outside the user part: a password with a raw /, ? or # has been cut apart there.
func (u DatabaseURL) misplaced(parsed *url.URL) bool {
	return parsed.Fragment != "" || strings.Contains(parsed.Path+parsed.RawQuery, "@")
}

// GoString masks %#v.
func (u DatabaseURL) GoString() string { return fmt.Sprintf("config.DatabaseURL(%q)", u.String()) }

// Format masks every verb.
func (u DatabaseURL) Format(f fmt.State, verb rune) { formatMasked(f, verb, u) }

// MarshalText masks JSON and every other text encoding.
func (u DatabaseURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// MarshalYAML masks YAML.
func (u DatabaseURL) MarshalYAML() (any, error) { return u.String(), nil }

// LogValue masks log/slog.
func (u DatabaseURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// problem says what is wrong with the URL, without its value.
func (u DatabaseURL) problem() string {
	if path, ok := u.SQLitePath(); ok {
		return sqlitePathProblem(path)
	}
	if !u.IsPostgres() {
		return "must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"
	}
	parsed, err := u.parse()
	if err != nil || u.misplaced(parsed) {
		return "is no valid postgres:// URL; percent-encode special characters of the password, such as / ? # and @, and write several hosts as HOST:PORT,HOST:PORT"
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return "has a query that cannot be read; percent-encode special characters"
	}
	if !slices.Contains([]string{"", "any", "primary", "read-write"}, query.Get("target_session_attrs")) {
		return "has a target_session_attrs other than read-write: this server has to write, and finds the one of several hosts that takes writes by itself"
	}
	if commits := query.Get("synchronous_commit"); !slices.Contains([]string{"", "on", "remote_apply"}, commits) {
		return "has a synchronous_commit other than on: what was acknowledged would be lost when the database dies"
	}
	if strings.Contains(string(u), mask) {
		return "holds the mask that stands for a password in printed configuration; put the password itself there"
	}
	return ""
}

// sqliteOptions are what other programs take behind the name of a file.
var sqliteOptions = regexp.MustCompile(`\?[^/]*=[^/]*$`)

// sqlitePathProblem accepts every name that a file can have, except for those by which people mean something else.
func sqlitePathProblem(path string) string {
	switch {
	case path == "":
		return "must name a file: sqlite:PATH"
	case strings.HasPrefix(path, "//"):
		return "has a host after sqlite://, which a file has not; write sqlite:data.db or sqlite:./data.db for a file in the working folder, sqlite:/srv/data.db for any other"
	case path == ":memory:" || strings.HasPrefix(path, "file:"):
		return "must name a file: tokens and revocations have to survive a restart; write sqlite:PATH, without file:"
	case sqliteOptions.MatchString(path):
		return "must not have options after the name of the file: those that matter are set already"
	case strings.HasSuffix(path, "/") || strings.Contains(path, "\x00"):
		return "must name a file, not a folder: sqlite:PATH"
	}
	return ""
}
