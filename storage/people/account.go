package people

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ErrStale says that the account was changed since it was read.
var ErrStale = errors.New("storage: the account was changed in the meantime")

// Account names an account that is to be changed. Its methods answer [fosite.ErrNotFound] when there is none.
type Account struct {
	// Seen is User.UpdatedAt as the caller has read it: when it is another one, the methods answer [ErrStale]. Zero: any.
	Seen time.Time

	users         *Users
	column, value string
}

// Named is the account of this name, in any case.
func (u *Users) Named(username string) Account {
	return Account{users: u, column: "username", value: strings.ToLower(username)}
}

// ByID is the account of this id.
func (u *Users) ByID(id string) Account { return Account{users: u, column: "id", value: id} }

// SetPassword replaces the password of an account and ends its browser sessions. What the person granted to clients
// goes on: see [Consents.WithdrawAll].
func (a Account) SetPassword(ctx context.Context, hash []byte) error {
	if len(hash) == 0 {
		return errNoPassword
	}
	return a.change(ctx, "user.password_changed", func(_ context.Context, tx *database.Tx, user *model.User) error {
		user.PasswordHash = string(hash)
		return endSessions(tx, user.ID)
	})
}

// SetGroups replaces the groups of an account. They count from the next introspection on, also for tokens that were
// issued before.
func (a Account) SetGroups(ctx context.Context, groups []string) error {
	if err := checkGroups(groups); err != nil {
		return err
	}
	return a.change(ctx, "user.groups_changed", func(_ context.Context, tx *database.Tx, user *model.User) error {
		if err := deleteGroups(tx, user.ID); err != nil {
			return err
		}
		return addGroups(tx, user.ID, groups)
	})
}

// Disable keeps a person out: no login, no browser session, and everything they granted is revoked.
func (a Account) Disable(ctx context.Context) error {
	return a.change(ctx, "user.disabled", func(ctx context.Context, tx *database.Tx, user *model.User) error {
		if user.DisabledAt.IsZero() {
			user.DisabledAt = model.At(a.users.now())
		}
		return a.users.endAccess(ctx, tx, user.ID)
	})
}

// Enable lets a person log in again. What was revoked stays revoked.
func (a Account) Enable(ctx context.Context) error {
	return a.change(ctx, "user.enabled", func(_ context.Context, _ *database.Tx, user *model.User) error {
		user.DisabledAt = model.Time{}
		return nil
	})
}

// Delete removes an account for good, with its browser sessions, consents and everything it granted. Its row stays,
// with the random id and nothing else of the person: whoever logged in just before must not be granted anything after.
func (a Account) Delete(ctx context.Context) error {
	return a.change(ctx, "user.deleted", func(ctx context.Context, tx *database.Tx, user *model.User) error {
		if err := deleteGroups(tx, user.ID); err != nil {
			return err
		}
		if _, err := a.users.forget(ctx, tx, user.ID); err != nil {
			return err
		}
		// No account has a user name with a space in it, or no password.
		user.Username, user.PasswordHash, user.DisabledAt = "deleted "+user.ID, "", model.At(a.users.now())
		return a.users.endAccess(ctx, tx, user.ID)
	})
}

// change runs edit and stores the account as edit leaves it, with an audit event, all of it or nothing. The changes of one
// account take turns.
func (a Account) change(ctx context.Context, action string, edit func(ctx context.Context, tx *database.Tx, user *model.User) error) error {
	if a.column == "username" && CheckUsername(a.value) != nil || !model.Storable(a.value) {
		return fosite.ErrNotFound
	}
	return a.users.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		user, err := lock(tx, existing+" AND "+a.column+" = ?", a.value)
		switch {
		case err != nil:
			return err
		case user == nil:
			return fosite.ErrNotFound
		case !a.Seen.IsZero() && !user.UpdatedAt.Equal(a.Seen):
			return ErrStale
		}
		username := user.Username
		a.users.touch(user)
		if err := edit(ctx, tx, user); err != nil {
			return err
		}
		if err := tx.Select("*").Updates(user).Error; err != nil {
			return database.Wrap(err, "change an account")
		}
		return a.users.record(ctx, audit.Event{Action: action}, map[string]any{"username": username, "subject": user.ID})
	})
}

// touch gives an account a later time of its last change than it had: two changes are never taken for one.
func (u *Users) touch(user *model.User) {
	now := u.now().UTC().Truncate(time.Millisecond)
	if earliest := user.UpdatedAt.Add(time.Millisecond); now.Before(earliest) {
		now = earliest
	}
	user.UpdatedAt = model.At(now)
}
