package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// confirm asks before what cannot be undone. Where nobody can be asked, the command must say --yes.
func (a *app) confirm(yes bool, consequence, word string) error {
	if yes {
		return nil
	}
	if !a.terminal() {
		return usageError{fmt.Errorf("%s. This needs a confirmation, and there is no terminal to ask on: add --yes", consequence)}
	}
	return askFor(a.stdin, a.stderr, consequence, word)
}

// terminal tells whether a person sits at the other end of stdin.
func (a *app) terminal() bool {
	file, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// errNotConfirmed leaves everything as it was.
var errNotConfirmed = errors.New("not confirmed; nothing was changed")

func askFor(in io.Reader, out io.Writer, consequence, word string) error {
	fmt.Fprintf(out, "%s.\nType %s (or y) to go on: ", printable(consequence), printable(word))
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(out)
		return errNotConfirmed
	}
	switch strings.TrimSpace(line) {
	case word, "y", "Y", "yes":
		return nil
	}
	return errNotConfirmed
}
