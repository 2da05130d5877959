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

// A Role says what the holder of an admin key may do.
type Role string

const (
	RoleRead    Role = "read"    // look at everything but secrets, which nobody can
	RoleClients Role = "clients" // read, register and change clients, revoke tokens
	RolePeople  Role = "people"  // read, change accounts, take consents back
	RoleAdmin   Role = "admin"   // everything, admin keys included
)

// included is what each role allows.
var included = map[Role][]Role{
	RoleRead:    {RoleRead},
	RoleClients: {RoleRead, RoleClients},
	RolePeople:  {RoleRead, RolePeople},
	RoleAdmin:   {RoleRead, RoleClients, RolePeople, RoleAdmin},
}

// Allows tells whether r includes what needed allows. An unknown role allows nothing, and nothing allows it.
func (r Role) Allows(needed Role) bool { return slices.Contains(included[r], needed) }

// AdminKey describes a key of the admin API. The key itself is not stored.
type AdminKey struct {
	ID         string
	Name       string // the actor of audit events; never reused
	Role       Role
	Clients    []string // ids of the only clients that it may see and change; none: all
	Hint       string   // the key's last four characters
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not revoked
	LastUsedAt time.Time // coarse; zero: not yet
}

var (
	// ErrAdminKeyExists says that the name is taken, by a key that may have been revoked since.
	ErrAdminKeyExists = errors.New("storage: an admin key with this name (or this value) exists or has existed; choose another name")
	// ErrLastAdminKey says that no other key of role admin works.
	ErrLastAdminKey    = errors.New("storage: no other admin key of role admin works; create one first")
	errAdminKeyName    = errors.New("storage: the name of an admin key needs 1 to 64 letters, digits and . _ - @, starting with a letter or digit")
	errAdminKeyRole    = errors.New("storage: the role of an admin key is read, clients, people or admin")
	errAdminKeyClients = errors.New("storage: an admin key for single clients has the role read or clients, and names up to 100 of them, each once")
	errAdminKeyShort   = errors.New("storage: an admin key needs at least 16 characters of randomness")
)

var adminKeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]*$`)

func isAdminKeyName(name string) bool { return len(name) <= 64 && adminKeyName.MatchString(name) }

const minAdminKey = 16

// MaxAdminKeyClients is how many clients an admin key may be bound to.
const MaxAdminKeyClients = 100

func (k *AdminKey) check(key string) error {
	for _, err := range k.Mistakes() {
		return err
	}
	if len(key) < minAdminKey {
		return errAdminKeyShort
	}
	return nil
}

// Mistakes are what is wrong with a new key, by the member of the admin API that is to blame.
func (k *AdminKey) Mistakes() map[string]error {
	mistakes := map[string]error{}
	if !isAdminKeyName(k.Name) {
		mistakes["name"] = errAdminKeyName
	}
	if !k.Role.Allows(RoleRead) { // every role may read
		mistakes["role"] = errAdminKeyRole
	} else if len(k.Clients) > 0 && !k.mayBeBound() {
		mistakes["client_ids"] = errAdminKeyClients
	}
	return mistakes
}

// Status is active, expired or revoked.
func (k *AdminKey) Status(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return "expired"
	}
	return "active"
}

func (k *AdminKey) mayBeBound() bool {
	ids := slices.Compact(slices.Sorted(slices.Values(k.Clients)))
	return (k.Role == RoleRead || k.Role == RoleClients) && len(ids) == len(k.Clients) && len(ids) <= MaxAdminKeyClients && ids[0] != ""
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
		ID: k.ID, Name: k.Name, Hash: adminKeyHash(key), Hint: k.Hint, Role: storedRole(k), Clients: k.Clients,
		CreatedAt: model.At(k.CreatedAt), ExpiresAt: model.At(k.ExpiresAt),
	}
	return a.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if err := database.MustChange(created.RowsAffected, created.Error, "store an admin key", ErrAdminKeyExists); err != nil {
			return err
		}
		changes := map[string]any{"name": k.Name, "role": k.Role}
		if len(k.Clients) > 0 {
			changes["client_ids"] = k.Clients
		}
		if !k.ExpiresAt.IsZero() {
			changes["expires_at"] = k.ExpiresAt.UTC().Format(time.RFC3339)
		}
		return a.log.Append(ctx, Event{Action: "admin_key.created", Changes: adminKeyChange(nil, changes)})
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

func adminKeyChange(before, after map[string]any) json.RawMessage {
	type change struct {
		Before any `json:"before"`
		After  any `json:"after"`
	}
	changes := map[string]change{}
	for name, value := range after {
		changes[name] = change{before[name], value}
	}
	encoded, err := json.Marshal(changes)
	if err != nil {
		panic(err) // strings and nil always encode
	}
	return encoded
}

// Find describes a key. It answers [fosite.ErrNotFound] for one that is unknown, expired or revoked.
func (a *AdminKeys) Find(ctx context.Context, key string) (*AdminKey, error) {
	// The time of this look-up depends on the hash. That helps nobody to guess the key.
	return a.use(ctx, "hash = ?", adminKeyHash(key))
}

// FindID is [AdminKeys.Find] for somebody who has shown the key before: it describes the key with this id as it is now.
func (a *AdminKeys) FindID(ctx context.Context, id string) (*AdminKey, error) {
	return a.use(ctx, "id = ?", id)
}

// use describes the key for which where holds, and notes that it is used.
func (a *AdminKeys) use(ctx context.Context, where string, value any) (*AdminKey, error) {
	keys, err := readKeys(a.db.Read(ctx).
		Where(where, value).Where("revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", model.At(a.now())))
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
			ID: row.ID, Name: row.Name, Role: roleOf(&row), Clients: append([]string(nil), row.Clients...), Hint: row.Hint, CreatedAt: row.CreatedAt.Time, ExpiresAt: row.ExpiresAt.Time,
			RevokedAt: row.RevokedAt.Time, LastUsedAt: row.LastUsedAt.Time,
		}
	}
	return keys, nil
}

// ofClients begins the role of a key for single clients as it is stored. A version that knows no such keys knows no such role, and
// such a key whose clients got lost opens nothing.
const ofClients = "of clients: "

func storedRole(k *AdminKey) string {
	if len(k.Clients) > 0 {
		return ofClients + string(k.Role)
	}
	return string(k.Role)
}

func roleOf(row *model.AdminKey) Role {
	role, bound := strings.CutPrefix(row.Role, ofClients)
	if bound != (len(row.Clients) > 0) {
		return ""
	}
	return Role(role)
}
