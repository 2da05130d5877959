package config

import (
	"fmt"
	"io"
	"log/slog"
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
