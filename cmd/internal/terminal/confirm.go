package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Confirm asks before a change that cannot be undone. Without a terminal the command needs --yes.
func (c *Terminal) Confirm(ctx context.Context, yes bool, consequence, word string) error {
	if yes {
		return nil
	}
	if !c.IsTerminal() {
		return BadUsage("%s. This needs a confirmation, and there is no terminal to ask on: add --yes", consequence)
	}
	return askFor(ctx, c.Stdin, c.Stderr, consequence, word)
}

// interruptible runs read, which may wait for a person, until it returns or ctx ends (Ctrl-C). Then read may go on
// waiting: the program is about to end.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var zero T
	if ctx.Err() != nil { // read would turn the echo of the terminal off
		return zero, errInterrupted
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		if ctx.Err() == nil {
			return r.value, r.err
		}
	case <-ctx.Done():
	}
	return zero, errInterrupted
}

var (
	errInterrupted  = errors.New("interrupted; nothing was changed")
	errNotConfirmed = errors.New("not confirmed; nothing was changed")
)

func askFor(ctx context.Context, in io.Reader, out io.Writer, consequence, word string) error {
	fmt.Fprintf(out, "%s.\nType %s (or y) to go on: ", Printable(consequence), Printable(word))
	line, err := interruptible(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
	if err != nil && line == "" {
		fmt.Fprintln(out)
		if errors.Is(err, errInterrupted) {
			return err
		}
		return errNotConfirmed
	}
	switch strings.TrimSpace(line) {
	case word, "y", "Y", "yes":
		return nil
	}
	return errNotConfirmed
}
