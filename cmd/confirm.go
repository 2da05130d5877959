package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// confirm asks before what cannot be undone. Where nobody can be asked, the command must say --yes.
func (a *app) confirm(ctx context.Context, yes bool, consequence, word string) error {
	if yes {
		return nil
	}
	if !a.terminal() {
		return usageError{fmt.Errorf("%s. This needs a confirmation, and there is no terminal to ask on: add --yes", consequence)}
	}
	return askFor(ctx, a.stdin, a.stderr, consequence, word)
}

// terminal tells whether a person sits at the other end of stdin.
func (a *app) terminal() bool {
	file, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// interruptible runs read, which may wait for a person, until that ends or the program is told to (Ctrl-C). What it waits
// for is then lost on it: the program is about to end.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var nothing T
	if ctx.Err() != nil { // before a terminal is told to show nothing
		return nothing, errInterrupted
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
	return nothing, errInterrupted
}

var errInterrupted = errors.New("interrupted; nothing was changed")

// errNotConfirmed leaves everything as it was.
var errNotConfirmed = errors.New("not confirmed; nothing was changed")

func askFor(ctx context.Context, in io.Reader, out io.Writer, consequence, word string) error {
	fmt.Fprintf(out, "%s.\nType %s (or y) to go on: ", printable(consequence), printable(word))
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
