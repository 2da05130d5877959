package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
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

// AdminKey describes a key of the admin API. The key itself is not stored.
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

func adminKeyHash(key string) model.Hash {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// AdminKeys are the keys of the admin API.
type AdminKeys struct {
	db   *database.DB
	log  *Log
	now  func() time.Time
	used func(id string)
}

// NewAdminKeys makes the keys of db. log records their creation and revocation. used is called for each use.
func NewAdminKeys(db *database.DB, log *Log, now func() time.Time, used func(id string)) *AdminKeys {
	return &AdminKeys{db, log, now, used}
}

func newKeyID() string { return "ak_" + strings.ToLower(rand.Text())[:12] }

// Create stores the hash of key under k's name, role and expiry, and fills in the rest of k. The key must be random, because
// nothing but its SHA-256 protects it. Create answers [ErrAdminKeyExists] for a name that is or was in use.
func (a *AdminKeys) Create(ctx context.Context, k *AdminKey, key string) error {
	if err := k.check(key); err != nil {
		return err
	}
	k.ID, k.Hint = newKeyID(), key[len(key)-4:]
	k.CreatedAt, k.RevokedAt, k.LastUsedAt = a.now().UTC().Truncate(time.Millisecond), time.Time{}, time.Time{}
	row := model.AdminKey{
		ID: k.ID, Name: k.Name, Hash: adminKeyHash(key), Hint: k.Hint, Role: string(k.Role), CreatedAt: model.At(k.CreatedAt), ExpiresAt: model.At(k.ExpiresAt),
	}
	return a.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if err := database.MustChange(created.RowsAffected, created.Error, "store an admin key", ErrAdminKeyExists); err != nil {
			return err
		}
		return a.log.Append(ctx, Event{Action: "admin_key.created", Changes: adminKeyChange(k.Name, "role", nil, k.Role)})
	})
}

// Ensure stores key as an admin key unless it is there, and returns its description. created tells whether it was new. A new
// key is called name, or name with an id behind it if name is taken. Ensure changes no other key: replicas may have different
// keys in their configuration, and a key works until it is revoked. A key that was revoked or has expired stays so.
func (a *AdminKeys) Ensure(ctx context.Context, name, key string, role Role) (k *AdminKey, created bool, err error) {
	err = a.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		longer := name + "-" + newKeyID()
		// The name may be taken, and another replica may be adding the same key at this moment.
		for _, name := range []string{name, longer, longer} {
			known, err := readKeys(tx.Where("hash = ?", adminKeyHash(key)))
			if err != nil {
				return err
			}
			if len(known) == 1 {
				k, created = &known[0], false
				return nil
			}
			k, created = &AdminKey{Name: name, Role: role}, true
			if err := a.Create(ctx, k, key); !errors.Is(err, ErrAdminKeyExists) {
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

// Find describes a key. It answers [fosite.ErrNotFound] for one that is unknown, expired or revoked.
func (a *AdminKeys) Find(ctx context.Context, key string) (*AdminKey, error) {
	// The time of this look-up depends on the hash. That helps nobody to guess the key.
	keys, err := readKeys(a.db.Read(ctx).
		Where("hash = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", adminKeyHash(key), model.At(a.now())))
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fosite.ErrNotFound
	}
	a.used(keys[0].ID)
	return &keys[0], nil
}

// Has tells whether any key was ever created.
func (a *AdminKeys) Has(ctx context.Context) (bool, error) {
	keys, err := readKeys(a.db.Read(ctx).Limit(1))
	return len(keys) > 0, err
}

// List returns every key there was, the oldest first.
func (a *AdminKeys) List(ctx context.Context) ([]AdminKey, error) {
	return readKeys(a.db.Read(ctx).DB)
}

func readKeys(query *gorm.DB) ([]AdminKey, error) {
	var rows []model.AdminKey
	if err := query.Order("created_at, id").Find(&rows).Error; err != nil {
		return nil, database.Wrap(err, "read admin keys")
	}
	keys := make([]AdminKey, len(rows))
	for i, row := range rows {
		keys[i] = AdminKey{
			ID: row.ID, Name: row.Name, Role: Role(row.Role), Hint: row.Hint, CreatedAt: row.CreatedAt.Time, ExpiresAt: row.ExpiresAt.Time,
			RevokedAt: row.RevokedAt.Time, LastUsedAt: row.LastUsedAt.Time,
		}
	}
	return keys, nil
}

// Revoke ends the key of this name at once, for good. It answers [fosite.ErrNotFound] when no such key works.
func (a *AdminKeys) Revoke(ctx context.Context, name string) error {
	return a.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		revoked := tx.Model(&model.AdminKey{}).Where("name = ? AND revoked_at IS NULL", name).Update("revoked_at", model.At(a.now()))
		if err := database.MustChange(revoked.RowsAffected, revoked.Error, "revoke an admin key", fosite.ErrNotFound); err != nil {
			return err
		}
		return a.log.Append(ctx, Event{Action: "admin_key.revoked", Changes: adminKeyChange(name, "status", "active", "revoked")})
	})
}
