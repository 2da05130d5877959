// Package privatefile makes and checks files that hold secrets: only their owner, and perhaps their group, may read them.
package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// Check refuses files that every user of this machine may read or change. The error names the command that closes them.
// Files that do not exist pass.
func Check(paths ...string) error {
	if runtime.GOOS == "windows" { // whose modes say nothing
		return nil
	}
	var open, command []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o006 != 0 {
			open = append(open, fmt.Sprintf("%s (mode %04o)", path, info.Mode().Perm()))
			command = append(command, ShellWord(path))
		}
	}
	if len(open) == 0 {
		return nil
	}
	return fmt.Errorf("every user of this machine may read or change %s. Close that to them with: chmod o-rwx %s",
		strings.Join(open, ", "), strings.Join(command, " "))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+:@%,=][A-Za-z0-9_./+:@%,=-]*$`)

// ShellWord quotes text so that a shell takes it for one word.
func ShellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// ReadOrCreate reads a secret from path. Without a file it generates one and writes it there (0600). Of several processes
// that start at once, one creates the file and the others read it.
func ReadOrCreate(path string, generate func() string) (secret string, created bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", false, err
	}
	if err := Check(path); err != nil {
		return "", false, err
	}
	content, err := os.ReadFile(path)
	if err == nil {
		if secret = strings.TrimSpace(string(content)); secret == "" {
			return "", false, fmt.Errorf("%s is empty; delete it to have a new one generated", path)
		}
		return secret, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	secret = generate()
	if err := create(path, secret); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return ReadOrCreate(path, generate)
		}
		return "", false, err
	}
	return secret, true, nil
}

// create writes a new file in one step: no reader sees half a secret. It does not replace a file.
func create(path, secret string) error {
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.WriteString(secret + "\n")
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), path)
}

// CreateEmpty makes an empty file at path (0600) unless there is one. SQLite gives its log files the same permissions.
func CreateEmpty(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}
