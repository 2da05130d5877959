// Package clients registers OAuth clients and their secrets. storage.Store.Clients hands out the [Registry] of a store.
package clients

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
	"fosite-mcp/storage/internal/usage"
)

var (
	// ErrExists says that the id is taken, by a client that may have been deleted since: ids are never reused.
	ErrExists = errors.New("storage: a client with this id exists or has existed")
	// ErrStale says that the client was changed since it was read.
	ErrStale = errors.New("storage: the client was changed in the meantime")
)

// Registry keeps clients and their secrets. It is safe for concurrent use.
type Registry struct {
	db  *database.DB
	now func() time.Time
	log *audit.Log

	used, secretsUsed *usage.Times
	registrations     *registrations
	alone             *Reader[struct{}]
	kind              string // condition for the rows that are managed here
}

const (
	areClients = "issuer = ''"
	areIssuers = "issuer <> ''"
)

// New is for storage.New.
func New(db *database.DB, now func() time.Time, log *audit.Log) *Registry {
	r := &Registry{
		db: db, now: now, log: log, used: usage.OfIDs(db, "clients"), secretsUsed: usage.OfIDs(db, "client_secrets"),
		registrations: new(registrations), kind: areClients,
	}
	r.alone = NewReader[struct{}](r, "", nil, nil)
	return r
}

// alive are the states of clients that are not deleted.
var alive = []client.Status{client.Active, client.Disabled}

// newID is a random identifier of lower case letters and digits, which needs no encoding anywhere.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// Create stores a new client with its secrets. It fills in what is empty: ID (and those of the secrets),
// Status, Version and times, and Epoch and RevokedBefore with what was revoked of a client of this id that storage.WithClients
// kept elsewhere. It answers [ErrExists] for an id that is or was in use.
func (r *Registry) Create(ctx context.Context, c *client.Client) error {
	now := r.now().UTC().Truncate(time.Millisecond)
	if c.ID == "" {
		c.ID = newID("mcp_")
	}
	if c.Status == "" {
		c.Status = client.Active
	}
	c.CreatedAt, c.UpdatedAt, c.Version = now, now, 1
	row, err := model.NewClient(c)
	if err != nil {
		return err
	}
	return r.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if err := readEarlierRevocations(tx, row); err != nil {
			return err
		}
		c.Epoch, c.RevokedBefore = row.Epoch, model.RevokedBefore(row.RevokedBefore)
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(row)
		if created.Error != nil {
			return fmt.Errorf("storage: store a client: %w", created.Error)
		}
		if created.RowsAffected == 0 {
			return ErrExists
		}
		for i := range c.Secrets {
			if err := insertSecret(tx, c.ID, &c.Secrets[i], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// Find reads a registered client whatever its status, with all its secrets that were not deleted, newest
// first. It answers [fosite.ErrNotFound] for one that was never registered or has been deleted.
func (r *Registry) Find(ctx context.Context, id string) (*client.Client, error) {
	if !model.Storable(id) {
		return nil, fosite.ErrNotFound
	}
	tx, row := r.db.Read(ctx), model.Client{}
	found := tx.Where("id = ? AND status <> ?", id, client.Deleted).Where(r.kind).Limit(1).Find(&row)
	if found.Error != nil {
		return nil, fmt.Errorf("storage: read a client: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return nil, fosite.ErrNotFound
	}
	c, err := row.Client()
	if err != nil {
		return nil, err
	}
	var secrets []model.ClientSecret
	if err := tx.Where("client_id = ? AND deleted_at IS NULL", id).Order("created_at DESC, id").Find(&secrets).Error; err != nil {
		return nil, fmt.Errorf("storage: read the secrets of a client: %w", err)
	}
	for i := range secrets {
		c.Secrets = append(c.Secrets, secretFromRow(&secrets[i]))
	}
	return c, nil
}

// Update stores what was changed on a client that was read with [Registry.Find]. It answers [ErrStale]
// when somebody else was faster. Secrets, epoch and times are not touched.
func (r *Registry) Update(ctx context.Context, c *client.Client) error {
	row, err := model.NewClient(c)
	if err != nil {
		return err
	}
	now := r.now().UTC().Truncate(time.Millisecond)
	row.Version, row.UpdatedAt = c.Version+1, model.At(now)
	n, err := r.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.Client{}).Where("id = ? AND version = ? AND status <> ?", c.ID, c.Version, client.Deleted).Where(r.kind).
			Select("*").Omit("id", "epoch", "revoked_before", "created_at", "last_used_at").Updates(row)
	})
	if err != nil {
		return fmt.Errorf("storage: change a client: %w", err)
	}
	if n == 0 {
		return ErrStale
	}
	c.Version, c.UpdatedAt = row.Version, now
	return nil
}

// Delete ends a client for good: its tokens are dead at their next check, its secrets and particulars are
// erased, and its id is never given out again. It answers [fosite.ErrNotFound] for one that does not exist.
func (r *Registry) Delete(ctx context.Context, id string) error {
	if !model.Storable(id) {
		return fosite.ErrNotFound
	}
	now := r.now()
	err := r.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		changes := map[string]any{"status": client.Deleted, "epoch": raised("epoch"), "version": raised("version"), "updated_at": model.At(now)}
		for _, column := range new(model.Client).Registration() {
			if column.Erased {
				changes[column.Name] = ""
			}
		}
		deleted := tx.Model(&model.Client{}).Where("id = ? AND status <> ?", id, client.Deleted).Where(r.kind).Updates(changes)
		if deleted.Error != nil {
			return fmt.Errorf("storage: delete a client: %w", deleted.Error)
		}
		if deleted.RowsAffected == 0 {
			return fosite.ErrNotFound
		}
		err := tx.Model(&model.ClientSecret{}).Where("client_id = ? AND deleted_at IS NULL", id).Updates(erased(now)).Error
		if err != nil {
			return fmt.Errorf("storage: delete the secrets of a client: %w", err)
		}
		if err := r.endGrants(tx, id, now); err != nil {
			return err
		}
		return noteRevoked(tx, id, now)
	})
	r.registrations.forget(id)
	return err
}

// SetStatus makes a client active or disabled and tells whether it was not so before. version, unless zero, is
// the version the caller has seen: [ErrStale] if it is outdated. [fosite.ErrNotFound] if there is no such client.
func (r *Registry) SetStatus(ctx context.Context, id string, status client.Status, version int64) (changed bool, err error) {
	if status != client.Active && status != client.Disabled {
		return false, fmt.Errorf("storage: a client cannot be made %q; delete it with Delete", status)
	}
	if !model.Storable(id) {
		return false, fosite.ErrNotFound
	}
	err = r.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		row := tx.Model(&model.Client{}).Where("id = ? AND status IN ?", id, alive).Where(r.kind).Session(&gorm.Session{})
		update := row.Where("status <> ?", status)
		if version != 0 {
			update = update.Where("version = ?", version)
		}
		update = update.Updates(map[string]any{"status": status, "version": raised("version"), "updated_at": model.At(r.now())})
		if changed = update.RowsAffected == 1; update.Error != nil {
			return update.Error
		}
		if changed && status == client.Disabled {
			return r.endGrants(tx, id, r.now())
		}
		if changed {
			return nil
		}
		var current model.Client
		switch found := row.Select("version").Limit(1).Find(&current); {
		case found.Error != nil:
			return found.Error
		case found.RowsAffected == 0:
			return fosite.ErrNotFound
		case version != 0 && current.Version != version:
			return ErrStale
		}
		return nil
	})
	if err != nil && !errors.Is(err, fosite.ErrNotFound) && !errors.Is(err, ErrStale) {
		return false, fmt.Errorf("storage: change the status of a client: %w", err)
	}
	return changed, err
}

// Revoke ends every token issued to the client so far, in two small statements however many there are. Tokens
// issued to requests that authenticate from now on are not affected.
func (r *Registry) Revoke(ctx context.Context, id string) error {
	return r.revoke(ctx, id, "epoch", raised("epoch"), func(tx *database.Tx) error {
		if err := r.endGrants(tx, id, r.now()); err != nil {
			return err
		}
		return noteRevoked(tx, id, r.now())
	})
}

// RevokeBefore ends every token that was issued to the client before the time t.
func (r *Registry) RevokeBefore(ctx context.Context, id string, t time.Time) error {
	before := wholeMillis(t)
	later := gorm.Expr("CASE WHEN revoked_before > ? THEN revoked_before ELSE ? END", before, before)
	return r.revoke(ctx, id, "revoked_before", later, func(tx *database.Tx) error {
		if err := r.endGrants(tx, id, t.Add(-time.Millisecond)); err != nil {
			return err
		}
		return noteRevokedBefore(tx, id, t)
	})
}

func (r *Registry) revoke(ctx context.Context, id, column string, value clause.Expr, note func(tx *database.Tx) error) error {
	return r.change(ctx, "revoke the tokens of a client", []string{id}, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.Client{}).Where("id = ? AND status <> ?", id, client.Deleted).Where(r.kind).Updates(map[string]any{column: value})
	}, note)
}
