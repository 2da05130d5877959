package people

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm/clause"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

var errNoPassword = errors.New("storage: refusing to store an account without a password")

// Create stores a new account and fills in ID and times. It answers [ErrUserExists] for a name that is taken.
func (u *Users) Create(ctx context.Context, user *User) error {
	if err := errors.Join(CheckUsername(user.Username), checkGroups(user.Groups)); err != nil {
		return err
	}
	if len(user.PasswordHash) == 0 {
		return errNoPassword
	}
	user.ID = idPrefix + strings.ToLower(rand.Text())
	user.CreatedAt = u.now().UTC().Truncate(time.Millisecond)
	user.UpdatedAt = user.CreatedAt
	return u.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		created := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "username"}}, DoNothing: true}).Create(&model.User{
			ID: user.ID, Username: user.Username, PasswordHash: string(user.PasswordHash),
			CreatedAt: model.At(user.CreatedAt), UpdatedAt: model.At(user.UpdatedAt),
		})
		if err := database.MustChange(created.RowsAffected, created.Error, "store an account", ErrUserExists); err != nil {
			return err
		}
		if err := addGroups(tx, user.ID, user.Groups); err != nil {
			return err
		}
		return u.record(ctx, audit.Event{Action: "user.created"}, map[string]any{"username": user.Username, "subject": user.ID})
	})
}

func addGroups(tx *database.Tx, userID string, groups []string) error {
	if len(groups) == 0 {
		return nil
	}
	rows := make([]model.UserGroup, len(groups))
	for i, group := range groups {
		rows[i] = model.UserGroup{UserID: userID, Name: group}
	}
	err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error
	return database.Wrap(err, "store the groups of an account")
}

func deleteGroups(tx *database.Tx, userID string) error {
	err := tx.Where("user_id = ?", userID).Delete(&model.UserGroup{}).Error
	return database.Wrap(err, "delete the groups of an account")
}

// SetPassword is [Account.SetPassword].
func (u *Users) SetPassword(ctx context.Context, username string, hash []byte) error {
	return u.Named(username).SetPassword(ctx, hash)
}

// SetGroups is [Account.SetGroups].
func (u *Users) SetGroups(ctx context.Context, username string, groups []string) error {
	return u.Named(username).SetGroups(ctx, groups)
}

// Disable is [Account.Disable].
func (u *Users) Disable(ctx context.Context, username string) error {
	return u.Named(username).Disable(ctx)
}

// Enable is [Account.Enable].
func (u *Users) Enable(ctx context.Context, username string) error {
	return u.Named(username).Enable(ctx)
}

// Delete is [Account.Delete].
func (u *Users) Delete(ctx context.Context, username string) error {
	return u.Named(username).Delete(ctx)
}

func (u *Users) endAccess(ctx context.Context, tx *database.Tx, subject string) error {
	if err := endSessions(tx, subject); err != nil {
		return err
	}
	_, err := u.access.Revoke(ctx, subject, "")
	return err
}
