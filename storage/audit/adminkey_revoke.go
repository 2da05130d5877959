package audit

import (
	"context"

	"github.com/ory/fosite"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Revoke ends the key of this name at once, for good. It answers [fosite.ErrNotFound] when no such key works.
func (a *AdminKeys) Revoke(ctx context.Context, name string) error {
	return a.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		revoked := tx.Model(&model.AdminKey{}).Where("name = ? AND revoked_at IS NULL", name).Update("revoked_at", model.At(a.now()))
		if err := database.MustChange(revoked.RowsAffected, revoked.Error, "revoke an admin key", fosite.ErrNotFound); err != nil {
			return err
		}
		return a.log.Append(ctx, Event{
			Action: "admin_key.revoked", Changes: adminKeyChange(map[string]any{"status": "active"}, map[string]any{"name": name, "status": "revoked"}),
		})
	})
}

// Named describes the key of this name, whatever state it is in. It answers [fosite.ErrNotFound] when there was none.
func (a *AdminKeys) Named(ctx context.Context, name string) (*AdminKey, error) {
	if !isAdminKeyName(name) {
		return nil, fosite.ErrNotFound
	}
	keys, err := readKeys(a.db.Read(ctx).Where("name = ?", name))
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fosite.ErrNotFound
	}
	return &keys[0], nil
}

// Hold makes a revocation of the key of this name wait for the end of the transaction of ctx. It answers [fosite.ErrNotFound] when
// the key has ended: a request that began before must not go on.
func (a *AdminKeys) Hold(ctx context.Context, name string) error {
	keys, err := readKeys(a.db.Read(ctx).Clauses(clause.Locking{Strength: clause.LockingStrengthShare}).
		Where("name = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", name, model.At(a.now())))
	if err == nil && len(keys) != 1 {
		err = fosite.ErrNotFound
	}
	return err
}

// RevokeButLast is [AdminKeys.Revoke], and answers [ErrLastAdminKey] where no key of role admin would work any more.
func (a *AdminKeys) RevokeButLast(ctx context.Context, name string) error {
	if !isAdminKeyName(name) {
		return fosite.ErrNotFound
	}
	return a.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// Locked, so that of two who revoke the last two keys the second one sees what the first has done.
		admins, err := readKeys(tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Where("role = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", RoleAdmin, model.At(a.now())))
		if err != nil {
			return err
		}
		if len(admins) == 1 && admins[0].Name == name {
			return ErrLastAdminKey
		}
		return a.Revoke(ctx, name)
	})
}
