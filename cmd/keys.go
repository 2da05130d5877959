package cmd

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fosite-mcp/config"
	"fosite-mcp/storage"
)

// systemSecrets are the system secret, which keys are derived from, and the others whose keys count as well: earlier ones, and
// the next one while replicas learn of it.
type systemSecrets struct {
	current  []byte
	previous [][]byte
}

// keys are those for one purpose.
func (s systemSecrets) keys(purpose string) (current []byte, previous [][]byte) {
	for _, secret := range s.previous {
		previous = append(previous, deriveKey(secret, purpose))
	}
	return deriveKey(s.current, purpose), previous
}

// readSystemSecrets reads them. Without one in the configuration it is generated on the first start and kept in the
// data directory.
func readSystemSecrets(cfg config.Config) (s systemSecrets, err error) {
	for _, secret := range cfg.SystemSecretsPrevious {
		s.previous = append(s.previous, []byte(secret.Reveal()))
	}
	if cfg.SystemSecret != "" {
		s.current = []byte(cfg.SystemSecret.Reveal())
		return s, nil
	}
	path := filepath.Join(cfg.DataDir, "system.secret")
	secret, _, err := secretFile(path, func() string {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		return hex.EncodeToString(random)
	})
	if err != nil {
		return s, fmt.Errorf("system secret: %w", err)
	}
	if problem := config.SystemSecretProblem(secret); problem != "" {
		return s, fmt.Errorf("system secret: that in %s %s", path, problem)
	}
	s.current = []byte(secret)
	return s, nil
}

// secretFile reads a secret from path, or makes one and keeps it there (0600). Of several processes that start at
// once, one creates the file and the others read it.
func secretFile(path string, generate func() string) (secret string, created bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", false, err
	}
	if err := checkPrivate(path); err != nil {
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
	if err := createSecretFile(path, secret); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return secretFile(path, generate)
		}
		return "", false, err
	}
	return secret, true, nil
}

// createSecretFile writes a new file in one step, so that no reader ever sees half a secret. It refuses to replace
// one that exists.
func createSecretFile(path, secret string) error {
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

// deriveKey makes a key for one purpose from the system secret (RFC 5869).
func deriveKey(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp "+purpose, 32)
	if err != nil {
		panic(err) // only a length out of range fails
	}
	return key
}

// checkIssuer refuses to start as somebody else than this database belongs to: another issuer would strand every token
// and client.
func checkIssuer(ctx context.Context, store *storage.Store, issuer string) error {
	stored, err := store.Settings().Once(ctx, "issuer", issuer)
	if err != nil {
		return err
	}
	if stored != issuer {
		return fmt.Errorf(`the issuer is %q, but this database was started with %q. The issuer is part of every token and client configuration and cannot change. Set issuer (or public_url) back, or start with an empty database`, issuer, stored)
	}
	return nil
}

// checkSecret refuses to start with another system secret than the replicas that started before, unless it knows that
// one, too: it would not know their tokens. What is on record is the secret of the replica that started last.
func checkSecret(ctx context.Context, store *storage.Store, s systemSecrets) error {
	current, previous := s.keys("fingerprint")
	own := hex.EncodeToString(current)
	known, err := store.Settings().Once(ctx, "system_secret_fingerprint", own)
	if err != nil || known == own {
		return err
	}
	for _, fingerprint := range previous {
		if known == hex.EncodeToString(fingerprint) {
			return store.Settings().Replace(ctx, "system_secret_fingerprint", known, own)
		}
	}
	return errors.New("system_secret is not the one that this database was started with, so every token would stop working. " +
		"All replicas need the same system_secret; to replace it, follow docs/operations.md (Secrets) and put the other one into system_secrets_previous")
}
