package people

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/ory/fosite"
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
		return u.record(ctx, audit.Event{Action: "user.created"}, map[string]any{"username": user.Username})
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

// SetPassword replaces the password of an account and ends its browser sessions. What the person granted to clients
// goes on: see [Consents.WithdrawAll].
func (u *Users) SetPassword(ctx context.Context, username string, hash []byte) error {
	if len(hash) == 0 {
		return errNoPassword
	}
	return u.change(ctx, username, "user.password_changed", func(_ context.Context, tx *database.Tx, user *model.User) error {
		user.PasswordHash = string(hash)
		return endSessions(tx, user.ID)
	})
}

// SetGroups replaces the groups of an account. They count from the next introspection on, also for tokens that were
// issued before.
func (u *Users) SetGroups(ctx context.Context, username string, groups []string) error {
	if err := checkGroups(groups); err != nil {
		return err
	}
	return u.change(ctx, username, "user.groups_changed", func(_ context.Context, tx *database.Tx, user *model.User) error {
		if err := deleteGroups(tx, user.ID); err != nil {
			return err
		}
		return addGroups(tx, user.ID, groups)
	})
}

func deleteGroups(tx *database.Tx, userID string) error {
	err := tx.Where("user_id = ?", userID).Delete(&model.UserGroup{}).Error
	return database.Wrap(err, "delete the groups of an account")
}

// Disable keeps a person out: no login, no browser session, and everything they granted is revoked.
func (u *Users) Disable(ctx context.Context, username string) error {
	return u.change(ctx, username, "user.disabled", func(ctx context.Context, tx *database.Tx, user *model.User) error {
		if user.DisabledAt.IsZero() {
			user.DisabledAt = model.At(u.now())
		}
		return u.endAccess(ctx, tx, user.ID)
	})
}

// Enable lets a person log in again. What was revoked stays revoked.
func (u *Users) Enable(ctx context.Context, username string) error {
	return u.change(ctx, username, "user.enabled", func(_ context.Context, _ *database.Tx, user *model.User) error {
		user.DisabledAt = model.Time{}
		return nil
	})
}

// Delete removes an account for good, with its browser sessions, consents and everything it granted. Its row stays,
// with the random id and nothing else of the person: whoever logged in just before must not be granted anything after.
func (u *Users) Delete(ctx context.Context, username string) error {
	return u.change(ctx, username, "user.deleted", func(ctx context.Context, tx *database.Tx, user *model.User) error {
		if err := deleteGroups(tx, user.ID); err != nil {
			return err
		}
		if err := tx.Where("subject = ?", user.ID).Delete(&model.Consent{}).Error; err != nil {
			return database.Wrap(err, "delete the consents of a person")
		}
		// No account has a user name with a space in it, or no password.
		user.Username, user.PasswordHash, user.DisabledAt = "deleted "+user.ID, "", model.At(u.now())
		return u.endAccess(ctx, tx, user.ID)
	})
}

// change runs edit and stores the account as edit leaves it, with an audit event, all of it or nothing. The changes of one
// account take turns. It answers [fosite.ErrNotFound] when there is no such account.
func (u *Users) change(ctx context.Context, username, action string, edit func(ctx context.Context, tx *database.Tx, user *model.User) error) error {
	username = strings.ToLower(username)
	if CheckUsername(username) != nil {
		return fosite.ErrNotFound
	}
	return u.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		user, err := lock(tx, existing+" AND username = ?", username)
		if err != nil {
			return err
		}
		if user == nil {
			return fosite.ErrNotFound
		}
		user.UpdatedAt = model.At(u.now())
		if err := edit(ctx, tx, user); err != nil {
			return err
		}
		if err := tx.Select("*").Updates(user).Error; err != nil {
			return database.Wrap(err, "change an account")
		}
		return u.record(ctx, audit.Event{Action: action}, map[string]any{"username": username})
	})
}

func (u *Users) endAccess(ctx context.Context, tx *database.Tx, subject string) error {
	if err := endSessions(tx, subject); err != nil {
		return err
	}
	_, err := u.access.Revoke(ctx, subject, "")
	return err
}
