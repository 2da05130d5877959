package terminal

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Table prints rows with aligned columns. Close writes it out.
type Table struct{ w *tabwriter.Writer }

// NewTable begins a table on stdout.
func (c *Terminal) NewTable(head ...string) *Table {
	t := &Table{tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)}
	if len(head) > 0 {
		t.Row(head...)
	}
	return t
}

// Row adds a row. An empty cell is printed as a dash.
func (t *Table) Row(cells ...string) {
	for i, cell := range cells {
		cells[i] = Printable(cell)
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t")) // Close returns the error
}

// Close prints the table.
func (t *Table) Close() error { return t.w.Flush() }

// Fields prints pairs of name and value, one pair on each line. Pairs with an empty value are left out.
func (c *Terminal) Fields(pairs ...string) error {
	t := c.NewTable()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			t.Row(pairs[i], pairs[i+1])
		}
	}
	return t.Close()
}

// Printable escapes control characters in text from other people: a terminal would obey them, a table would break.
func Printable(text string) string {
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isControl also covers the invisible characters that reorder or hide text.
func isControl(r rune) bool {
	return r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Time prints a time in UTC, to the second. Nil and zero are the empty text.
func Time(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Seconds prints seconds as 336h or 1h30m.
func Seconds(seconds int64) string {
	if seconds <= 0 {
		return ""
	}
	text := (time.Duration(seconds) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Life prints seconds as days where they are whole days.
func Life(seconds int64) string {
	const day = 24 * 60 * 60
	switch {
	case seconds == day:
		return "1 day"
	case seconds > 0 && seconds%day == 0:
		return fmt.Sprintf("%d days", seconds/day)
	}
	return Seconds(seconds)
}
