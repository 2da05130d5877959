package authserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/config"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
)

// ensureAdminKey makes sure that there is a key for the admin API: the configured one, or one that is generated on
// the first start. It returns the generated one's file. It ends no key: that of another replica may be a different one.
func (s *Instance) ensureAdminKey(ctx context.Context, store *storage.Store, cfg config.Config) (file string, err error) {
	if cfg.Admin.Key != "" {
		return "", s.addAdminKey(ctx, store, cfg.Admin.Key.Reveal(), "admin.key")
	}
	path := filepath.Join(cfg.DataDir, "admin.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		// A database that has its key already belongs to another data directory: nobody needs another key.
		known, err := store.AdminKeys().Has(ctx)
		if err != nil {
			return "", err
		}
		if known {
			s.notify("the admin key of this database is not in %s; copy it there, or create another: fosite-mcp admin-key create", path)
			return "", nil
		}
	}
	key, created, err := privatefile.ReadOrCreate(path, admin.NewKey)
	if err != nil {
		return "", fmt.Errorf("admin key: %w", err)
	}
	if created {
		s.notify("wrote the admin key to %s", path)
	}
	if problem := config.AdminKeyProblem(key); problem != "" {
		return "", fmt.Errorf("admin key: that in %s %s", path, problem)
	}
	return path, s.addAdminKey(ctx, store, key, path)
}

// addAdminKey says what its owner may not expect of the key from source. A key that opens nothing is no reason not to
// start: tokens have nothing to do with it.
func (s *Instance) addAdminKey(ctx context.Context, store *storage.Store, key, source string) error {
	k, created, err := admin.EnsureKey(ctx, store, key)
	if err != nil {
		return err
	}
	switch {
	case created && k.Name != "admin":
		s.notify("added the admin key from %s as %s; the keys before it work until they are revoked: fosite-mcp admin-key list, admin-key revoke NAME", source, k.Name)
	case !k.RevokedAt.IsZero():
		s.notify("the admin key from %s (%s) was revoked and opens nothing; set another one, or create one: fosite-mcp admin-key create", source, k.Name)
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(time.Now()):
		s.notify("the admin key from %s (%s) has expired and opens nothing; set another one, or create one: fosite-mcp admin-key create", source, k.Name)
	case k.Role != audit.RoleAdmin:
		s.notify("the admin key from %s is %s, which has the role %s", source, k.Name, k.Role)
	}
	return nil
}
