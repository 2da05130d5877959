package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a duration flag that also takes days: 90d, 336h, 1h30m.
type span time.Duration

func (s *span) String() string { return shownSeconds(int64(time.Duration(*s) / time.Second)) }
func (s *span) Type() string   { return "duration" }

// Set implements [pflag.Value].
func (s *span) Set(text string) error {
	d, err := parseSpan(text)
	*s = span(d)
	return err
}

// seconds is what the admin API takes.
func (s span) seconds() int64 { return int64(time.Duration(s) / time.Second) }

func parseSpan(text string) (time.Duration, error) {
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

// parseTime reads a moment: 2026-12-31T23:59:59Z or 2026-12-31, the latter meaning its first second in UTC.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("want a time such as 2026-12-31T23:59:59Z or 2026-12-31, not %q", text)
}

// parsePast reads a moment, or how long ago it was.
func parsePast(text string, now time.Time) (time.Time, error) {
	if d, err := parseSpan(text); err == nil {
		return now.Add(-d).UTC(), nil
	}
	t, err := parseTime(text)
	if err != nil {
		return t, fmt.Errorf("want how long ago (24h, 7d) or a time such as 2026-12-31T23:59:59Z, not %q", text)
	}
	return t, nil
}
