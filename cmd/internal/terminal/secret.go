package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const secretInputLimit = 64 << 10

// ReadSecret reads a secret from the file ("-" is stdin), else from the environment variable. Messages call it what, and
// name the flag for the file. No flag takes the secret itself: command lines are visible to other users.
func (c *Terminal) ReadSecret(ctx context.Context, what, flag, file, variable string) (string, error) {
	if file == "" {
		if secret, _ := c.Lookup(variable); variable != "" && secret != "" {
			return secret, nil
		}
		sources := flag + " FILE (- reads stdin)"
		if variable != "" {
			sources += ", or the environment variable " + variable
		}
		return "", BadUsage("the %s is missing: use %s", what, sources)
	}
	content, err := c.read(ctx, what, file)
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("read the %s: %s is empty", what, inputName(file))
	}
	return secret, nil
}

func (c *Terminal) read(ctx context.Context, what, file string) ([]byte, error) {
	if file == "-" && c.IsTerminal() {
		return c.readHidden(ctx, what)
	}
	return interruptible(ctx, func() ([]byte, error) {
		source := c.Stdin
		if file != "-" {
			opened, err := os.Open(file)
			if err != nil {
				return nil, err
			}
			defer opened.Close()
			source = opened
		}
		content, err := io.ReadAll(io.LimitReader(source, secretInputLimit+1))
		if err == nil && len(content) > secretInputLimit {
			err = fmt.Errorf("%s is longer than %d bytes", inputName(file), secretInputLimit)
		}
		return content, err
	})
}

// readHidden asks for a line that the terminal does not show. When it is interrupted it restores the terminal.
func (c *Terminal) readHidden(ctx context.Context, what string) ([]byte, error) {
	fmt.Fprintf(c.Stderr, "%s (not shown): ", what)
	defer fmt.Fprintln(c.Stderr)
	fd := int(c.Stdin.(*os.File).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	line, err := interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if errors.Is(err, errInterrupted) {
		_ = term.Restore(fd, before)
	}
	return line, err
}

func inputName(file string) string {
	if file == "-" {
		return "stdin"
	}
	return file
}

// ReadNewPassword reads a new password: from the file, or from the terminal, where it is typed twice.
func (c *Terminal) ReadNewPassword(ctx context.Context, file string) (string, error) {
	switch {
	case file != "":
		return c.ReadSecret(ctx, "password", "--password-file", file, "")
	case !c.IsTerminal():
		return "", BadUsage("the password is missing, and there is no terminal to ask on: use --password-file FILE (- reads stdin)")
	}
	first, err := c.read(ctx, "password", "-")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	second, err := c.read(ctx, "password again", "-")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if string(first) != string(second) {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return string(first), nil
}

// Open opens a file for reading; "-" is stdin.
func (c *Terminal) Open(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(c.Stdin), nil
	}
	return os.Open(file)
}
