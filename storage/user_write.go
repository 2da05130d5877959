package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
)

// SetUserPassword replaces the password of an account and ends its browser sessions. What the person granted to
// clients goes on: see [Store.WithdrawConsents].
func (s *Store) SetUserPassword(ctx context.Context, username string, hash []byte) error {
	if len(hash) == 0 {
		return errors.New("storage: refusing to store an account without a password")
	}
	return s.changeUser(ctx, username, "user.password_changed", func(ctx context.Context, user *User) error {
		if _, err := s.db.Run(ctx, `UPDATE {users} SET password_hash = ?, updated_at = ? WHERE id = ?`, string(hash), millis(s.now()), user.ID); err != nil {
			return fmt.Errorf("storage: change a password: %w", err)
		}
		return s.endSessions(ctx, user.ID)
	})
}

// SetUserGroups replaces the groups of an account. They count from the next introspection on, also for tokens that were
// issued before.
func (s *Store) SetUserGroups(ctx context.Context, username string, groups []string) error {
	if err := checkGroups(groups); err != nil {
		return err
	}
	return s.changeUser(ctx, username, "user.groups_changed", func(ctx context.Context, user *User) error {
		if _, err := s.db.Run(ctx, `DELETE FROM {user_groups} WHERE user_id = ?`, user.ID); err != nil {
			return fmt.Errorf("storage: change the groups of an account: %w", err)
		}
		if _, err := s.db.Run(ctx, `UPDATE {users} SET updated_at = ? WHERE id = ?`, millis(s.now()), user.ID); err != nil {
			return fmt.Errorf("storage: change the groups of an account: %w", err)
		}
		return s.insertGroups(ctx, user.ID, groups)
	})
}

// DisableUser keeps a person out: no login, no browser session, and everything they granted is revoked.
func (s *Store) DisableUser(ctx context.Context, username string) error {
	return s.changeUser(ctx, username, "user.disabled", func(ctx context.Context, user *User) error {
		now := millis(s.now())
		if _, err := s.db.Run(ctx, `UPDATE {users} SET disabled_at = COALESCE(disabled_at, ?), updated_at = ? WHERE id = ?`, now, now, user.ID); err != nil {
			return fmt.Errorf("storage: disable an account: %w", err)
		}
		return s.endAccess(ctx, user.ID)
	})
}

// EnableUser lets a person log in again. What was revoked stays revoked.
func (s *Store) EnableUser(ctx context.Context, username string) error {
	return s.changeUser(ctx, username, "user.enabled", func(ctx context.Context, user *User) error {
		if _, err := s.db.Run(ctx, `UPDATE {users} SET disabled_at = NULL, updated_at = ? WHERE id = ?`, millis(s.now()), user.ID); err != nil {
			return fmt.Errorf("storage: enable an account: %w", err)
		}
		return nil
	})
}

// DeleteUser removes an account for good, with its browser sessions, consents and everything it granted. Its row stays,
// with the random id and nothing else of the person: whoever logged in just before must not be granted anything after.
func (s *Store) DeleteUser(ctx context.Context, username string) error {
	return s.changeUser(ctx, username, "user.deleted", func(ctx context.Context, user *User) error {
		for _, statement := range []string{`DELETE FROM {user_groups} WHERE user_id = ?`, `DELETE FROM {consents} WHERE subject = ?`} {
			if _, err := s.db.Run(ctx, statement, user.ID); err != nil {
				return fmt.Errorf("storage: delete an account: %w", err)
			}
		}
		now := millis(s.now())
		// No account has a user name with a space in it, or no password.
		_, err := s.db.Run(ctx, `UPDATE {users} SET username = ?, password_hash = '', disabled_at = ?, updated_at = ? WHERE id = ?`,
			"deleted "+user.ID, now, now, user.ID)
		if err != nil {
			return fmt.Errorf("storage: delete an account: %w", err)
		}
		return s.endAccess(ctx, user.ID)
	})
}

// changeUser runs one change of an account, with its audit event, as a whole or not at all. It answers
// [fosite.ErrNotFound] when there is no such account.
func (s *Store) changeUser(ctx context.Context, username, action string, change func(ctx context.Context, user *User) error) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		user, err := s.FindUser(ctx, username)
		if err != nil {
			return err
		}
		// The row's lock makes changes of one account take turns.
		n, err := s.db.Run(ctx, `UPDATE {users} SET updated_at = updated_at WHERE id = ? AND password_hash <> ''`, user.ID)
		if err != nil {
			return fmt.Errorf("storage: lock an account: %w", err)
		}
		if n == 0 {
			return fosite.ErrNotFound
		}
		if err := change(ctx, user); err != nil {
			return err
		}
		return s.auditUser(ctx, action, user.Username)
	})
}

func (s *Store) endAccess(ctx context.Context, subject string) error {
	if err := s.endSessions(ctx, subject); err != nil {
		return err
	}
	_, err := s.RevokeSubject(ctx, subject, "")
	return err
}

func (s *Store) auditUser(ctx context.Context, action, username string) error {
	changes, err := audit.After(map[string]any{"username": username})
	if err != nil {
		return err
	}
	return s.log.Append(ctx, audit.Event{Action: action, Changes: changes})
}

// accountAllows refuses what is about to be granted in the name of a local account that was disabled or deleted since its
// login was looked at. The update locks the row: whoever disables the account comes before, and is seen, or after, and ends
// the new grant with the others. A subject that is no local account is somebody else's to judge.
func accountAllows(ctx context.Context, tx *database.Tx, subject string) error {
	n, err := tx.Run(`UPDATE {users} SET updated_at = updated_at WHERE id = ?`, subject)
	if err != nil {
		return fmt.Errorf("storage: look at an account: %w", err)
	}
	if n == 0 {
		return nil
	}
	var disabledAt sql.NullInt64
	if err := tx.QueryRow(`SELECT disabled_at FROM {users} WHERE id = ?`, subject).Scan(&disabledAt); err != nil {
		return fmt.Errorf("storage: look at an account: %w", err)
	}
	if disabledAt.Valid {
		return fosite.ErrAccessDenied.WithHint("The account may not log in any more.")
	}
	return nil
}
