package terminal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span is a duration flag that also takes days: 90d, 336h, 1h30m.
type Span time.Duration

// String implements [pflag.Value].
func (s *Span) String() string { return Seconds(int64(time.Duration(*s) / time.Second)) }

// Type implements [pflag.Value].
func (s *Span) Type() string { return "duration" }

// Set implements [pflag.Value].
func (s *Span) Set(text string) error {
	d, err := ParseSpan(text)
	*s = Span(d)
	return err
}

// Seconds is the span in the unit of the admin API.
func (s Span) Seconds() int64 { return int64(time.Duration(s) / time.Second) }

// ParseSpan reads a duration in whole seconds: 90d, 336h, 1h30m.
func ParseSpan(text string) (time.Duration, error) {
	const want = "want a duration such as 24h, 90d or 1h30m"
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 32)
		d = time.Duration(n) * 24 * time.Hour
		if n > 36500 {
			err = errors.New("too long")
		}
	}
	if err != nil || d < 0 || d%time.Second != 0 {
		return 0, errors.New(want)
	}
	return d, nil
}

// ParseTime reads a time: 2026-12-31T23:59:59Z, or 2026-12-31 for the first second of that day in UTC.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("want a time such as 2026-12-31T23:59:59Z or 2026-12-31, not %q", text)
}

// ParsePast reads a time, or how long ago it was.
func ParsePast(text string, now time.Time) (time.Time, error) {
	if d, err := ParseSpan(text); err == nil {
		return now.Add(-d).UTC(), nil
	}
	t, err := ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("want how long ago (24h, 7d) or a time such as 2026-12-31T23:59:59Z, not %q", text)
	}
	return t, nil
}
