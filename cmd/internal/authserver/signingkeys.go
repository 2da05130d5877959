package authserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fosite-mcp/config"
	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
)

// SigningKeys are the keys of JWT access tokens in store, for the command line. It makes no system secret: a key that is sealed
// with another one than the server's could not be used.
func SigningKeys(ctx context.Context, store *storage.Store, cfg config.Config) (*provider.SigningKeys, error) {
	secrets, err := secretsThatAreThere(ctx, store, cfg)
	if err != nil {
		return nil, err
	}
	return newSigningKeys(store, cfg, secrets)
}

// checkpointPurpose is what the key that signs checkpoints of the audit log is derived for.
const checkpointPurpose = "audit checkpoint"

// CheckpointKeys are the key that signs checkpoints of the audit log and those that are accepted, for the command line. It makes
// no system secret.
func CheckpointKeys(ctx context.Context, store *storage.Store, cfg config.Config) (current []byte, previous [][]byte, err error) {
	secrets, err := secretsThatAreThere(ctx, store, cfg)
	if err != nil {
		return nil, nil, err
	}
	current, previous = secrets.keys(checkpointPurpose)
	return current, previous, nil
}

// secretsThatAreThere are the server's system secrets. It makes none.
func secretsThatAreThere(ctx context.Context, store *storage.Store, cfg config.Config) (secrets systemSecrets, err error) {
	if path := filepath.Join(cfg.DataDir, systemSecretFile); cfg.SystemSecret == "" {
		if _, err := os.Stat(path); err != nil {
			return secrets, fmt.Errorf("system secret: %w; run this in the server's folder, or with its settings", err)
		}
	}
	if secrets, err = readSystemSecrets(cfg); err != nil {
		return secrets, err
	}
	return secrets, checkSecret(ctx, store, secrets)
}

func newSigningKeys(store *storage.Store, cfg config.Config, secrets systemSecrets) (*provider.SigningKeys, error) {
	o := provider.SigningKeyOptions{
		SystemSecret: secrets.current, PreviousSystemSecrets: secrets.previous, Algorithm: cfg.Tokens.SigningAlgorithm,
		Record: func(ctx context.Context, action string, key provider.SigningKey) error {
			changes, err := audit.After(map[string]any{"kid": key.ID, "alg": key.Algorithm})
			if err != nil {
				return err
			}
			return store.Audit().Append(ctx, audit.Event{Action: action, Changes: changes})
		},
	}
	if cfg.IssuesJWT() {
		o.Lifespan = cfg.Tokens.KeyLifespan
	}
	return provider.NewSigningKeys(store, o)
}

// longJWT is how long access tokens may live without a warning where gateways verify them.
const longJWT = 24 * time.Hour

// prepareKeys reads the keys, and makes them where a resource wants JWTs. Without such a resource they verify what was issued
// while there was one.
func (s *Instance) prepareKeys(ctx context.Context, store *storage.Store, cfg config.Config, secrets systemSecrets) (*provider.SigningKeys, error) {
	keys, err := newSigningKeys(store, cfg, secrets)
	if err != nil {
		return nil, err
	}
	if cfg.IssuesJWT() {
		if err := keys.Ensure(ctx); err != nil {
			return nil, fmt.Errorf("signing keys: %w", err)
		}
		if life := cfg.Tokens.AccessLifespan; life > longJWT {
			s.Log.WarnContext(ctx, "a gateway that verifies JWTs accepts one that was revoked until it ends: set tokens.access_lifespan to minutes, "+
				"or the access_token_lifespan of the clients concerned", "access_lifespan", life)
		}
		return keys, nil
	}
	return keys, keys.Load(ctx)
}

// keysInterval is how often a replica looks whether another one has changed the keys.
const keysInterval = 5 * time.Second

// maintainKeys reads the keys anew, and changes them when it is time, until ctx ends.
func (s *Instance) maintainKeys(ctx context.Context, keys *provider.SigningKeys) {
	ticker := time.NewTicker(keysInterval)
	defer ticker.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(ctx, keysInterval)
		err := keys.Maintain(within)
		cancel()
		if err != nil && ctx.Err() == nil && !failing { // once for each outage
			s.Log.ErrorContext(ctx, "the signing keys of JWTs could not be read or changed; this is tried again and again", "cause", err)
		}
		failing = err != nil
	}
}
