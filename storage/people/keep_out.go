package people

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Ended counts what [Users.KeepOut] has ended: logged-in browsers, clients that consent was given to, and grants, with
// all tokens of each.
type Ended struct{ Sessions, Consents, Grants int64 }

// outsider begins the user name of the row that keeps out somebody who has no account here. No account has a space in its name.
const outsider = "subject "

func outsiderName(subject string) string { return outsider + subject }

// KeepOut ends everything that a person has here, in one step, and lets them in no more until their account is enabled:
// browsers are logged out, consents forgotten, grants revoked with all their tokens. The subject may be of somebody who has no
// account here: a person whom a provider or a proxy has named, even one who has never logged in. It answers [fosite.ErrNotFound]
// for a local account that does not exist.
func (u *Users) KeepOut(ctx context.Context, subject string) (ended Ended, err error) {
	if subject == "" || !model.Storable(subject) {
		return Ended{}, errors.New("storage: refusing to keep out a subject that is empty or no text")
	}
	err = u.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		username, err := u.shut(tx, subject)
		if err != nil {
			return err
		}
		sessions := tx.Where("subject = ?", subject).Delete(&model.LoginSession{})
		if sessions.Error != nil {
			return database.Wrap(sessions.Error, "delete the login sessions of a person")
		}
		clients, err := u.forget(ctx, tx, subject)
		if err != nil {
			return err
		}
		grants, err := u.access.Revoke(ctx, subject, "")
		if err != nil {
			return err
		}
		ended = Ended{sessions.RowsAffected, clients, grants}
		after := map[string]any{"subject": subject, "sessions": ended.Sessions, "consents": ended.Consents, "grants": ended.Grants}
		if username != "" {
			after["username"] = username
		}
		return u.record(ctx, audit.Event{Action: "user.revoked"}, after)
	})
	return ended, err
}

// shut disables the account of a subject, or makes the row that keeps an outsider out. It returns the name of a local account.
func (u *Users) shut(tx *database.Tx, subject string) (username string, err error) {
	user, err := lock(tx, "id = ?", subject)
	switch {
	case err != nil:
		return "", err
	case user == nil && strings.HasPrefix(subject, idPrefix), user != nil && !isKept(user):
		return "", fosite.ErrNotFound
	case user == nil:
		return "", u.shutOutsider(tx, subject)
	case user.PasswordHash == "":
		return "", nil
	}
	if user.DisabledAt.IsZero() {
		user.DisabledAt = model.At(u.now())
		u.touch(user)
		err = tx.Select("*").Updates(user).Error
	}
	return user.Username, database.Wrap(err, "disable an account")
}

// shutOutsider makes the row that [Users.Allow] finds. There was none that a grant or a login under way could have waited for, so on
// PostgreSQL those are waited for here: each is stored first, and looks for the row then.
func (u *Users) shutOutsider(tx *database.Tx, subject string) error {
	if u.db.Postgres {
		if _, err := tx.Run(`LOCK TABLE {grants}, {login_sessions} IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return database.Wrap(err, "wait for grants and logins under way")
		}
	}
	now := model.At(u.now().UTC().Truncate(time.Millisecond))
	err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&model.User{
		ID: subject, Username: outsiderName(subject), CreatedAt: now, UpdatedAt: now, DisabledAt: now,
	}).Error
	return database.Wrap(err, "keep a person out")
}

// isKept tells whether a row is of an account or of an outsider who is kept out, and not of an account that was deleted.
func isKept(user *model.User) bool {
	return user.PasswordHash != "" || user.Username == outsiderName(user.ID)
}

// LetIn lets somebody without an account here in again whom [Users.KeepOut] has kept out. It answers [fosite.ErrNotFound] when
// that is nobody. What was ended stays ended.
func (u *Users) LetIn(ctx context.Context, subject string) error {
	if !model.Storable(subject) {
		return fosite.ErrNotFound
	}
	return u.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		deleted := tx.Where("id = ? AND username = ?", subject, outsiderName(subject)).Delete(&model.User{})
		if err := database.MustChange(deleted.RowsAffected, deleted.Error, "let a person in again", fosite.ErrNotFound); err != nil {
			return err
		}
		return u.record(ctx, audit.Event{Action: "user.enabled"}, map[string]any{"subject": subject})
	})
}

// refuseOutsider refuses the login of somebody without an account here who is kept out.
func refuseOutsider(tx *database.Tx, subject string) error {
	user, err := lock(tx, "id = ? AND disabled_at IS NOT NULL", subject)
	if err == nil && user != nil {
		err = fosite.ErrAccessDenied
	}
	return err
}
