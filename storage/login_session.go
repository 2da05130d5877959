package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
)

// CreateLoginSession keeps that a browser, which holds token, is logged in as subject until expiresAt, and puts the login on
// record. username and method are for people to read; data is the caller's. Only the hash of token is stored.
func (s *Store) CreateLoginSession(ctx context.Context, token, subject, username, method string, data []byte, expiresAt time.Time) error {
	if token == "" || subject == "" {
		return errors.New("storage: refusing to store a login session without a token or a subject")
	}
	event, err := s.loginEvent(ctx, subject, username, method)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		if err := s.insertSession(ctx, tx, token, subject, data, expiresAt); err != nil {
			return err
		}
		return s.log.Append(ctx, event)
	})
}

func (s *Store) loginEvent(ctx context.Context, subject, username, method string) (event audit.Event, err error) {
	event = audit.Event{Actor: "user:" + username, Action: "user.logged_in"}
	event.Changes, err = audit.After(map[string]any{"subject": subject, "username": username, "method": method})
	return event, err
}

// CreatePasswordSession is [Store.CreateLoginSession] for a local account whose password was compared with passwordHash.
// It answers [fosite.ErrAccessDenied] when that is not the account's password any more, or the account may not log in:
// comparing takes long, and a change of the password that ends all sessions may have come meanwhile.
func (s *Store) CreatePasswordSession(ctx context.Context, token, subject, username, method string, passwordHash, data []byte, expiresAt time.Time) error {
	if token == "" || subject == "" || len(passwordHash) == 0 {
		return errors.New("storage: refusing to store a login session without a token, a subject or a password")
	}
	event, err := s.loginEvent(ctx, subject, username, method)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// Locks the row, as every change of the account does.
		n, err := tx.Run(`UPDATE {users} SET updated_at = updated_at WHERE id = ? AND password_hash = ? AND disabled_at IS NULL`,
			subject, string(passwordHash))
		if err != nil {
			return fmt.Errorf("storage: look at an account: %w", err)
		}
		if n == 0 {
			return fosite.ErrAccessDenied
		}
		if err := s.insertSession(ctx, tx, token, subject, data, expiresAt); err != nil {
			return err
		}
		return s.log.Append(ctx, event)
	})
}

func (s *Store) insertSession(ctx context.Context, tx *database.Tx, token, subject string, data []byte, expiresAt time.Time) error {
	now := millis(s.now())
	if _, err := tx.Run(`DELETE FROM {login_sessions} WHERE expires_at <= ?`, now); err != nil {
		return fmt.Errorf("storage: delete expired login sessions: %w", err)
	}
	_, err := tx.Run(`INSERT INTO {login_sessions} (token_hash, subject, data, created_at, seen_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
		hashOf(token), subject, string(data), now, now, millis(expiresAt))
	if err != nil {
		return fmt.Errorf("storage: store a login session: %w", err)
	}
	return nil
}

// FindLoginSession reads a browser's session, and when it was last seen ([Store.TouchLoginSession]). It answers
// [fosite.ErrNotFound] when there is none or it has expired.
func (s *Store) FindLoginSession(ctx context.Context, token string) (data []byte, seenAt time.Time, err error) {
	if token == "" {
		return nil, time.Time{}, fosite.ErrNotFound
	}
	var stored string
	var seen int64
	err = s.db.Read(ctx).QueryRow(`SELECT data, seen_at FROM {login_sessions} WHERE token_hash = ? AND expires_at > ?`,
		hashOf(token), millis(s.now())).Scan(&stored, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, time.Time{}, fosite.ErrNotFound
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("storage: read a login session: %w", err)
	}
	return []byte(stored), fromMillis(seen), nil
}

// TouchLoginSession notes that a browser was seen now.
func (s *Store) TouchLoginSession(ctx context.Context, token string) error {
	if _, err := s.db.Run(ctx, `UPDATE {login_sessions} SET seen_at = ? WHERE token_hash = ?`, millis(s.now()), hashOf(token)); err != nil {
		return fmt.Errorf("storage: touch a login session: %w", err)
	}
	return nil
}

// DeleteLoginSession logs a browser out. One that is not logged in is no error.
func (s *Store) DeleteLoginSession(ctx context.Context, token string) error {
	if _, err := s.db.Run(ctx, `DELETE FROM {login_sessions} WHERE token_hash = ?`, hashOf(token)); err != nil {
		return fmt.Errorf("storage: delete a login session: %w", err)
	}
	return nil
}

// endSessions logs every browser of a person out.
func (s *Store) endSessions(ctx context.Context, subject string) error {
	if _, err := s.db.Run(ctx, `DELETE FROM {login_sessions} WHERE subject = ?`, subject); err != nil {
		return fmt.Errorf("storage: delete the login sessions of a person: %w", err)
	}
	return nil
}
