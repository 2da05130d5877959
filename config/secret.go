package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

// mask stands for a secret wherever configuration is shown. It needs no escaping in YAML, JSON or a URL, and it is
// refused as the value of a secret, so that printed configuration never becomes a well-known password.
const mask = "REDACTED"

// Secret is a string that formats, logs and marshals as a mask. Only Reveal returns it.
type Secret string

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String returns the mask, or nothing when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks %#v.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format masks every verb, %d and the like included, which do not go through String.
func (s Secret) Format(f fmt.State, verb rune) { formatMasked(f, verb, s) }

// MarshalText masks JSON and every other text encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML masks YAML.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue masks log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

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

func formatMasked(f fmt.State, verb rune, v interface {
	fmt.Stringer
	fmt.GoStringer
}) {
	text := v.String()
	switch {
	case verb == 'v' && f.Flag('#'):
		text = v.GoString()
	case verb == 'q':
		text = fmt.Sprintf("%q", text)
	}
	_, _ = io.WriteString(f, text) // fmt.State cannot report an error
}
