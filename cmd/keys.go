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

// systemSecrets returns the secret that keys are derived from and the earlier ones. Without one in the configuration
// it is generated on the first start and kept in the data directory.
func systemSecrets(cfg config.Config) (current []byte, previous [][]byte, err error) {
	for _, secret := range cfg.SystemSecretsPrevious {
		previous = append(previous, []byte(secret.Reveal()))
	}
	if cfg.SystemSecret != "" {
		return []byte(cfg.SystemSecret.Reveal()), previous, nil
	}
	path := filepath.Join(cfg.DataDir, "system.secret")
	secret, _, err := secretFile(path, func() string {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		return hex.EncodeToString(random)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("system secret: %w", err)
	}
	if problem := config.SystemSecretProblem(secret); problem != "" {
		return nil, nil, fmt.Errorf("system secret: that in %s %s", path, problem)
	}
	return []byte(secret), previous, nil
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
	stored, err := store.SettingOnce(ctx, "issuer", issuer)
	if err != nil {
		return err
	}
	if stored != issuer {
		return fmt.Errorf(`the issuer is %q, but this database was started with %q. The issuer is part of every token and client configuration and cannot change. Set issuer (or public_url) back, or start with an empty database`, issuer, stored)
	}
	return nil
}

// checkSecret refuses to start with another system secret, which would, on one of several replicas for instance, make it
// refuse the tokens of the others.
func checkSecret(ctx context.Context, store *storage.Store, current []byte, previous [][]byte) error {
	fingerprint := func(secret []byte) string { return hex.EncodeToString(deriveKey(secret, "fingerprint")) }
	known, err := store.SettingOnce(ctx, "system_secret_fingerprint", fingerprint(current))
	if err != nil || known == fingerprint(current) {
		return err
	}
	for _, secret := range previous {
		if known == fingerprint(secret) {
			return store.ReplaceSetting(ctx, "system_secret_fingerprint", known, fingerprint(current))
		}
	}
	return errors.New("system_secret is not the one that this database was started with, so every token would stop working. All replicas need the same system_secret; to replace it, put the old one into system_secrets_previous")
}
