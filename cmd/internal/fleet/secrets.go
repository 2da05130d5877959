package fleet

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Secrets is the folder in which each new client's secret gets a file, named by the client's id (0600). Beside it is, for as long as
// it takes, what the server was asked: with that it shows the same secret again. Make one with [OpenSecrets].
type Secrets struct {
	dir  string
	root *os.Root // nothing outside is touched, whatever an id is
}

// OpenSecrets opens a folder; make: it is made (0700) if it is not there. Without a folder the answer is nil.
func OpenSecrets(dir string, create bool) (*Secrets, error) {
	if dir == "" {
		return nil, nil
	}
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("--secrets-dir: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &Secrets{dir: dir}, nil // it is empty
	}
	if err != nil {
		return nil, fmt.Errorf("--secrets-dir: %w", err)
	}
	return &Secrets{dir, root}, nil
}

// Close closes the folder.
func (s *Secrets) Close() {
	if s != nil && s.root != nil {
		_ = s.root.Close()
	}
}

func secretName(id string) string  { return id + ".secret" }
func pendingName(id string) string { return id + ".pending" }

func (s *Secrets) path(id string) string { return filepath.Join(s.dir, secretName(id)) }

func (s *Secrets) has(id string) bool { return s.exists(secretName(id)) }

func (s *Secrets) isPending(id string) bool { return s.exists(pendingName(id)) }

func (s *Secrets) exists(name string) bool {
	if s == nil || s.root == nil {
		return false
	}
	_, err := s.root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist) // what cannot be looked at is there
}

// pending is a request whose answer holds a secret.
type pending struct {
	IdempotencyKey string          `json:"idempotency_key"`
	Request        json.RawMessage `json:"request"`
}

// begin writes down a request. One that was written down before was never carried out: there is no client.
func (s *Secrets) begin(id string, request []byte) error {
	if err := s.forget(id); err != nil {
		return err
	}
	content, err := json.Marshal(pending{rand.Text() + rand.Text(), request})
	if err != nil {
		return err
	}
	return s.write(pendingName(id), content)
}

func (s *Secrets) begun(id string) (pending, error) {
	var p pending
	content, err := s.root.ReadFile(pendingName(id))
	if err != nil {
		return p, fmt.Errorf("read what was asked for: %w", err)
	}
	if json.Unmarshal(content, &p) != nil || p.IdempotencyKey == "" {
		return p, fmt.Errorf("%s is not whole; remove it", filepath.Join(s.dir, pendingName(id)))
	}
	return p, nil
}

func (s *Secrets) store(id, secret string) error {
	if err := s.write(secretName(id), []byte(secret+"\n")); err != nil {
		return err
	}
	return s.forget(id)
}

func (s *Secrets) forget(id string) error {
	if err := s.root.Remove(pendingName(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write writes a new file, which outlives a failure of the machine once it is written.
func (s *Secrets) write(name string, content []byte) error {
	file, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write into --secrets-dir: %w", err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = s.root.Remove(name)
		return fmt.Errorf("write into --secrets-dir: %w", err)
	}
	folder, err := s.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
