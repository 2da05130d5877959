package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"
)

const secretInputLimit = 64 << 10

// variable reads the environment that the program was given.
func (a *app) variable(name string) string {
	value := ""
	for _, entry := range a.environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v // the last one counts, as in os/exec
		}
	}
	return value
}

// secretInput reads a secret: from the file ("-" is stdin), else from the variable. what and flag name it in
// messages. Command lines are visible to other users, so there is no flag with the secret itself.
func (a *app) secretInput(ctx context.Context, what, flag, file, variable string) (string, error) {
	if file == "" {
		if secret := a.variable(variable); variable != "" && secret != "" {
			return secret, nil
		}
		sources := flag + " FILE (- reads stdin)"
		if variable != "" {
			sources += ", or the environment variable " + variable
		}
		return "", usageError{fmt.Errorf("the %s is missing: use %s", what, sources)}
	}
	content, err := a.readInput(ctx, what, file)
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("read the %s: %s is empty", what, inputName(file))
	}
	return secret, nil
}

func (a *app) readInput(ctx context.Context, what, file string) ([]byte, error) {
	if file == "-" && a.terminal() {
		return a.readUnseen(ctx, what)
	}
	return interruptible(ctx, func() ([]byte, error) {
		source := a.stdin
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

// readUnseen asks for a line that the terminal does not show. Interrupted, it leaves the terminal as it was.
func (a *app) readUnseen(ctx context.Context, what string) ([]byte, error) {
	fmt.Fprintf(a.stderr, "%s (not shown): ", what)
	defer fmt.Fprintln(a.stderr)
	fd := int(a.stdin.(*os.File).Fd())
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

// secretOutput is a file that a new secret is to be written to. It is created before the secret exists, so that a
// secret which is shown only once does not get lost to a path that cannot be written.
type secretOutput struct{ file *os.File }

// reserveSecretFile creates path (0600). It refuses to overwrite. An empty path gives nil, whose methods do nothing.
func reserveSecretFile(path string) (*secretOutput, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists and is not overwritten; choose another file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("create the secret file: %w", err)
	}
	return &secretOutput{file}, nil
}

// write keeps the secret. After an error there is no file.
func (o *secretOutput) write(secret string) error {
	_, err := o.file.WriteString(secret + "\n")
	if err = errors.Join(err, o.file.Sync(), o.file.Close()); err != nil {
		_ = os.Remove(o.file.Name())
		return fmt.Errorf("write the secret to %s: %w", o.file.Name(), err)
	}
	return nil
}

// discard removes the file again, when no secret came about.
func (o *secretOutput) discard() {
	if o != nil {
		_ = o.file.Close()
		_ = os.Remove(o.file.Name())
	}
}
