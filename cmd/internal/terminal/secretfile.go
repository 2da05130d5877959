package terminal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// SecretFile is a new file for a secret. Create it before the secret: the server shows a secret once, and it would be lost
// if the file could not be written.
type SecretFile struct{ file *os.File }

// CreateSecretFile creates path (0600) and never overwrites a file. An empty path gives nil, which may be discarded.
func CreateSecretFile(path string) (*SecretFile, error) {
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
	return &SecretFile{file}, nil
}

// Write writes the secret and closes the file. After an error the file is removed.
func (o *SecretFile) Write(secret string) error {
	_, err := o.file.WriteString(secret + "\n")
	if err = errors.Join(err, o.file.Sync(), o.file.Close()); err != nil {
		_ = os.Remove(o.file.Name())
		return fmt.Errorf("write the secret to %s: %w", o.file.Name(), err)
	}
	return nil
}

// Discard removes the file: no secret was made.
func (o *SecretFile) Discard() {
	if o != nil {
		_ = o.file.Close()
		_ = os.Remove(o.file.Name())
	}
}
