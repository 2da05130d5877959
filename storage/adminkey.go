package storage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
)

// A Role says what the holder of an admin key may do. Each role includes the ones before it.
type Role string

const (
	RoleRead    Role = "read"    // look at everything but secrets, which nobody can
	RoleClients Role = "clients" // register and change clients, revoke tokens
	RoleAdmin   Role = "admin"   // everything
)

var roles = []Role{RoleRead, RoleClients, RoleAdmin}

// Allows tells whether r includes what needed allows. An unknown role allows nothing.
func (r Role) Allows(needed Role) bool {
	have, need := slices.Index(roles, r), slices.Index(roles, needed)
	return need >= 0 && have >= need
}

// AdminKey is what is known about a key of the admin API; the key itself is not stored.
type AdminKey struct {
	ID         string
	Name       string // the actor of audit events; never reused
	Role       Role
	Hint       string // the key's last four characters
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not revoked
	LastUsedAt time.Time // coarse; zero: not yet
}

var (
	// ErrAdminKeyExists says that the name is taken, by a key that may have been revoked since.
	ErrAdminKeyExists = errors.New("storage: an admin key with this name (or this value) exists or has existed; choose another name")
	errAdminKeyName   = errors.New("storage: the name of an admin key needs 1 to 64 letters, digits and . _ - @, starting with a letter or digit")
	errAdminKeyRole   = errors.New("storage: the role of an admin key is read, clients or admin")
	errAdminKeyShort  = errors.New("storage: an admin key needs at least 16 characters of randomness")
)

var adminKeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

const minAdminKey = 16

func (k *AdminKey) check(key string) error {
	switch {
	case !adminKeyName.MatchString(k.Name):
		return errAdminKeyName
	case !slices.Contains(roles, k.Role):
		return errAdminKeyRole
	case len(key) < minAdminKey:
		return errAdminKeyShort
	}
	return nil
}

func adminKeyHash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

const insertAdminKey = `INSERT INTO {admin_keys} (id, name, hash, hint, role, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT DO NOTHING`

// CreateAdminKey stores the hash of key under k's name, role and expiry, and fills in the rest of k. The key must be
// random; its SHA-256 is all that protects it. It answers [ErrAdminKeyExists] for a name that is or was in use.
func (s *Store) CreateAdminKey(ctx context.Context, k *AdminKey, key string) error {
	if err := k.check(key); err != nil {
		return err
	}
	k.ID, k.Hint = newID("ak_")[:15], key[len(key)-4:]
	k.CreatedAt, k.RevokedAt, k.LastUsedAt = s.now().UTC().Truncate(time.Millisecond), time.Time{}, time.Time{}
	return s.Atomically(ctx, func(ctx context.Context) error {
		n, err := s.db.Run(ctx, insertAdminKey, k.ID, k.Name, adminKeyHash(key), k.Hint, k.Role, millis(k.CreatedAt), nullMillis(k.ExpiresAt))
		if err != nil {
			return fmt.Errorf("storage: store an admin key: %w", err)
		}
		if n == 0 {
			return ErrAdminKeyExists
		}
		return s.log.Append(ctx, audit.Event{Action: "admin_key.created", Changes: adminKeyChange(k.Name, "role", nil, k.Role)})
	})
}

// EnsureAdminKey makes sure that key is on record as an admin key, and returns what is known about it; created tells
// whether it was new. A new one is called name, or if that is taken, name with an id behind it. No other key is touched:
// replicas may be configured with different keys, and those before stay until they are revoked. A key that was revoked
// or has expired stays so.
func (s *Store) EnsureAdminKey(ctx context.Context, name, key string, role Role) (k *AdminKey, created bool, err error) {
	err = s.Atomically(ctx, func(ctx context.Context) error {
		longer := name + "-" + newID("ak_")[:15]
		// The name may be taken, and another replica may be adding the same key at this moment.
		for _, name := range []string{name, longer, longer} {
			known, err := s.adminKeys(ctx, "hash = ?", adminKeyHash(key))
			if err != nil {
				return err
			}
			if len(known) == 1 {
				k, created = &known[0].AdminKey, false
				return nil
			}
			k, created = &AdminKey{Name: name, Role: role}, true
			if err := s.CreateAdminKey(ctx, k, key); !errors.Is(err, ErrAdminKeyExists) {
				return err
			}
		}
		return ErrAdminKeyExists
	})
	if err != nil {
		return nil, false, err
	}
	return k, created, nil
}

func adminKeyChange(name, field string, before, after any) json.RawMessage {
	type change struct {
		Before any `json:"before"`
		After  any `json:"after"`
	}
	encoded, err := json.Marshal(map[string]change{"name": {nil, name}, field: {before, after}})
	if err != nil {
		panic(err) // strings and nil always encode
	}
	return encoded
}

const adminKeyColumns = `id, name, role, hint, created_at, expires_at, revoked_at, last_used_at, hash`

// FindAdminKey returns the key's particulars, or [fosite.ErrNotFound] for one that is unknown, expired or revoked.
func (s *Store) FindAdminKey(ctx context.Context, key string) (*AdminKey, error) {
	hash := adminKeyHash(key)
	// Looking a hash up takes no secret-dependent time that would help anybody to guess the key behind it.
	keys, err := s.adminKeys(ctx, "hash = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", hash, millis(s.now()))
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 || subtle.ConstantTimeCompare(keys[0].hash, hash) != 1 {
		return nil, fosite.ErrNotFound
	}
	s.usage.note(usedAdminKeys, keys[0].ID, millis(s.now()))
	return &keys[0].AdminKey, nil
}

// HasAdminKey tells whether any key was ever created.
func (s *Store) HasAdminKey(ctx context.Context) (bool, error) {
	keys, err := s.ListAdminKeys(ctx)
	return len(keys) > 0, err
}

// ListAdminKeys returns every key there was, the oldest first.
func (s *Store) ListAdminKeys(ctx context.Context) ([]AdminKey, error) {
	stored, err := s.adminKeys(ctx, "id <> ''")
	if err != nil {
		return nil, err
	}
	keys := make([]AdminKey, len(stored))
	for i := range stored {
		keys[i] = stored[i].AdminKey
	}
	return keys, nil
}

type storedAdminKey struct {
	AdminKey
	hash []byte
}

func (s *Store) adminKeys(ctx context.Context, where string, args ...any) ([]storedAdminKey, error) {
	rows, err := s.db.Read(ctx).Query(`SELECT `+adminKeyColumns+` FROM {admin_keys} WHERE `+where+` ORDER BY created_at, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("storage: read admin keys: %w", err)
	}
	defer rows.Close()
	var keys []storedAdminKey
	for rows.Next() {
		var k storedAdminKey
		var createdAt int64
		var expiresAt, revokedAt, lastUsedAt sql.NullInt64
		if err := rows.Scan(&k.ID, &k.Name, &k.Role, &k.Hint, &createdAt, &expiresAt, &revokedAt, &lastUsedAt, &k.hash); err != nil {
			return nil, fmt.Errorf("storage: read admin keys: %w", err)
		}
		k.CreatedAt, k.ExpiresAt = fromMillis(createdAt), fromNullMillis(expiresAt)
		k.RevokedAt, k.LastUsedAt = fromNullMillis(revokedAt), fromNullMillis(lastUsedAt)
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read admin keys: %w", err)
	}
	return keys, nil
}

// RevokeAdminKey ends the key of this name at once, for good. It answers [fosite.ErrNotFound] when there is none that
// works.
func (s *Store) RevokeAdminKey(ctx context.Context, name string) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		n, err := s.db.Run(ctx, `UPDATE {admin_keys} SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL`, millis(s.now()), name)
		if err != nil {
			return fmt.Errorf("storage: revoke an admin key: %w", err)
		}
		if n == 0 {
			return fosite.ErrNotFound
		}
		return s.log.Append(ctx, audit.Event{Action: "admin_key.revoked", Changes: adminKeyChange(name, "status", "active", "revoked")})
	})
}
