package authserver

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/config"
	"fosite-mcp/storage"
)

// systemSecrets are the system secret, from which keys are derived, and other secrets whose keys are accepted: earlier ones,
// and the next one during a roll-out.
type systemSecrets struct {
	current  []byte
	previous [][]byte
}

// keys derives the keys for one purpose.
func (s systemSecrets) keys(purpose string) (current []byte, previous [][]byte) {
	for _, secret := range s.previous {
		previous = append(previous, deriveKey(secret, purpose))
	}
	return deriveKey(s.current, purpose), previous
}

// systemSecretFile holds the generated secret, in the data directory.
const systemSecretFile = "system.secret"

// readSystemSecrets reads the configured secrets. Without one it generates one in the data directory at the first start.
func readSystemSecrets(cfg config.Config) (s systemSecrets, err error) {
	for _, secret := range cfg.SystemSecretsPrevious {
		s.previous = append(s.previous, []byte(secret.Reveal()))
	}
	if cfg.SystemSecret != "" {
		s.current = []byte(cfg.SystemSecret.Reveal())
		return s, nil
	}
	path := filepath.Join(cfg.DataDir, systemSecretFile)
	secret, _, err := privatefile.ReadOrCreate(path, func() string {
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

// deriveKey makes a key for one purpose from the system secret (RFC 5869).
func deriveKey(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, "fosite-mcp "+purpose, 32)
	if err != nil {
		panic(err) // only a length out of range fails
	}
	return key
}

// checkIssuer refuses an issuer other than that of the database: all tokens and client configurations hold the issuer.
func checkIssuer(ctx context.Context, store *storage.Store, issuer string) error {
	stored, err := store.Settings().Once(ctx, "issuer", issuer)
	if err != nil {
		return err
	}
	return sameIssuer(stored, issuer)
}

func sameIssuer(stored, issuer string) error {
	if stored != issuer {
		return fmt.Errorf(`the issuer is %q, but this database was started with %q. The issuer is part of every token and client configuration and cannot change. Set issuer (or public_url) back, or start with an empty database`, issuer, stored)
	}
	return nil
}

// assertionAudienceFact says which aud of client assertions counts unless the configuration says.
const assertionAudienceFact = "assertion_audience"

// noteFirstStart notes what is true of databases that this version or a later one starts. It comes before the issuer is
// noted: a replica that finds an issuer finds this as well.
func noteFirstStart(ctx context.Context, store *storage.Store) error {
	if _, started, err := store.Settings().Get(ctx, "issuer"); err != nil || started {
		return err
	}
	_, err := store.Settings().Once(ctx, assertionAudienceFact, config.AudienceIssuer)
	return err
}

// assertionAudience is the setting, or else what the database was started with.
func assertionAudience(ctx context.Context, store *storage.Store, cfg config.Config) (string, error) {
	noted, err := store.Settings().Once(ctx, assertionAudienceFact, config.AudienceAny)
	return cmp.Or(cfg.Tokens.AssertionAudience, noted), err
}

// Facts about the system secret: which one the replica had that started last, and since when.
const (
	fingerprintFact = "system_secret_fingerprint"
	sinceFact       = "system_secret_since"
)

var errOtherSecret = errors.New("system_secret is not the one that this database was started with, so every token would stop working. " +
	"All replicas need the same system_secret; to replace it, follow docs/operations.md (Secrets) and put the other one into system_secrets_previous")

// fingerprints tell secrets apart.
func (s systemSecrets) fingerprints() (current string, previous []string) {
	own, others := s.keys("fingerprint")
	for _, other := range others {
		previous = append(previous, hex.EncodeToString(other))
	}
	return hex.EncodeToString(own), previous
}

// checkSecret refuses system secrets without the one of the replica that started last: this replica could not check the
// tokens of the other. The database holds a fingerprint of it.
func checkSecret(ctx context.Context, store *storage.Store, s systemSecrets) error {
	own, previous := s.fingerprints()
	known, err := store.Settings().Once(ctx, fingerprintFact, own)
	if err != nil || known == own {
		return err
	}
	if !slices.Contains(previous, known) {
		return errOtherSecret
	}
	if err := noteSecretSince(ctx, store, own, time.Now()); err != nil {
		return err
	}
	return store.Settings().Replace(ctx, fingerprintFact, known, own)
}

// noteSecretSince notes since when a secret is the current one.
func noteSecretSince(ctx context.Context, store *storage.Store, fingerprint string, now time.Time) error {
	fact := fingerprint + " " + now.UTC().Format(time.RFC3339)
	before, err := store.Settings().Once(ctx, sinceFact, fact)
	if err != nil || before == fact {
		return err
	}
	return store.Settings().Replace(ctx, sinceFact, before, fact)
}

// secretSince is since when a secret is the current one; zero where nobody has noted it.
func secretSince(ctx context.Context, store *storage.Store, fingerprint string) (time.Time, error) {
	fact, _, err := store.Settings().Get(ctx, sinceFact)
	noted, at, _ := strings.Cut(fact, " ")
	if err != nil || noted != fingerprint {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, at)
}
