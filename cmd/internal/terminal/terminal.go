// Package terminal is what every command has in common: where it reads and writes, and how. Data goes to stdout, as JSON
// or as text; messages go to stderr; secrets come from files, the environment or a terminal, and never from flags.
package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Terminal is where a command reads and writes.
type Terminal struct {
	Environ        []string // NAME=value
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	JSON           bool // the data on stdout is JSON
}

// Notice tells a person something, on stderr.
func (c *Terminal) Notice(format string, args ...any) {
	fmt.Fprintf(c.Stderr, "fosite-mcp: "+format+"\n", args...)
}

// Done reports a change that has no data of its own: in JSON on stdout, or in words on stderr.
func (c *Terminal) Done(result map[string]any, format string, args ...any) error {
	if c.JSON {
		return c.Encode(result)
	}
	c.Notice(format, args...)
	return nil
}

// Encode prints a value as one line of JSON.
func (c *Terminal) Encode(value any) error { return json.NewEncoder(c.Stdout).Encode(value) }

// PrintJSON prints JSON of the server's on one line.
func (c *Terminal) PrintJSON(body []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	line.WriteByte('\n')
	_, err := c.Stdout.Write(line.Bytes())
	return err
}

// IsTerminal tells whether a person sits at the other end of stdin.
func (c *Terminal) IsTerminal() bool {
	file, ok := c.Stdin.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Lookup reads the environment that the program was given.
func (c *Terminal) Lookup(name string) (value string, found bool) {
	for _, entry := range c.Environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value, found = v, true // the last one counts, as in os/exec
		}
	}
	return value, found
}

// UsageError makes the program exit with 2: the command was used wrongly. Make one with [BadUsage].
type UsageError struct{ err error }

func (e UsageError) Error() string { return e.err.Error() }
func (e UsageError) Unwrap() error { return e.err }

// BadUsage says what is wrong with the use of a command.
func BadUsage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// IsBadUsage tells a command that was used wrongly from one that failed.
func IsBadUsage(err error) bool {
	var usage UsageError
	return errors.As(err, &usage)
}
