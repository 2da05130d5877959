package people

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Sessions is the browsers that people are logged in with.
type Sessions struct{ people }

// Create keeps that a browser, which holds token, is logged in as subject until expiresAt, and puts the login on
// record. username and method are for people to read; data is the caller's. Only the hash of token is stored. It answers
// [fosite.ErrAccessDenied] for somebody who is kept out: see [Users.KeepOut].
func (s *Sessions) Create(ctx context.Context, token, subject, username, method string, data []byte, expiresAt time.Time) error {
	allow := func(tx *database.Tx) error { return refuseOutsider(tx, subject) }
	return s.createFor(ctx, allow, token, subject, username, method, data, expiresAt)
}

// CreateForPassword is [Sessions.Create] for a local account whose password was compared with passwordHash. It
// answers [fosite.ErrAccessDenied] when that is not the account's password any more, or the account may not log in:
// comparing takes long, and a change of the password that ends all sessions may have come meanwhile.
func (s *Sessions) CreateForPassword(ctx context.Context, token, subject, username, method string, passwordHash, data []byte, expiresAt time.Time) error {
	if len(passwordHash) == 0 {
		return errors.New("storage: refusing to store a login session without the password it is for")
	}
	allow := func(tx *database.Tx) error {
		user, err := lock(tx, "id = ? AND password_hash = ? AND disabled_at IS NULL", subject, string(passwordHash))
		if err == nil && user == nil {
			return fosite.ErrAccessDenied
		}
		return err
	}
	return s.createFor(ctx, allow, token, subject, username, method, data, expiresAt)
}

func (s *Sessions) createFor(ctx context.Context, allow func(*database.Tx) error, token, subject, username, method string, data []byte, expiresAt time.Time) error {
	event := audit.Event{Actor: "user:" + username, Action: "user.logged_in"}
	told := map[string]any{"subject": subject, "username": username, "method": method}
	return s.create(ctx, allow, token, subject, data, expiresAt, event, told)
}

func (s *Sessions) create(ctx context.Context, allow func(*database.Tx) error, token, subject string, data []byte, expiresAt time.Time, event audit.Event, told map[string]any) error {
	if token == "" || subject == "" {
		return errors.New("storage: refusing to store a login session without a token or a subject")
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		now := model.At(s.now())
		if err := tx.Where("expires_at <= ?", now).Delete(&model.LoginSession{}).Error; err != nil {
			return database.Wrap(err, "delete expired login sessions")
		}
		err := tx.Create(&model.LoginSession{
			TokenHash: hashOf(token), Subject: subject, Data: string(data), CreatedAt: now, SeenAt: now, ExpiresAt: model.At(expiresAt),
		}).Error
		if err != nil {
			return database.Wrap(err, "store a login session")
		}
		if err := allow(tx); err != nil { // last: see [Users.Allow]
			return err
		}
		return s.record(ctx, event, told)
	})
}

func hashOf(token string) model.Hash {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Find reads a browser's session, and when it was last seen ([Sessions.Touch]). It answers [fosite.ErrNotFound] when
// there is none or it has expired.
func (s *Sessions) Find(ctx context.Context, token string) (data []byte, seenAt time.Time, err error) {
	live := s.db.Read(ctx).Where("token_hash = ? AND expires_at > ?", hashOf(token), model.At(s.now()))
	row, err := database.FindOne[model.LoginSession](live, "read a login session")
	if err == nil && row == nil {
		err = fosite.ErrNotFound
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return []byte(row.Data), row.SeenAt.Time, nil
}

// Touch notes that a browser was seen now.
func (s *Sessions) Touch(ctx context.Context, token string) error {
	_, err := s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.LoginSession{}).Where("token_hash = ?", hashOf(token)).Update("seen_at", model.At(s.now()))
	})
	return database.Wrap(err, "touch a login session")
}

// Delete logs a browser out. One that is not logged in is no error.
func (s *Sessions) Delete(ctx context.Context, token string) error {
	_, err := s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Where("token_hash = ?", hashOf(token)).Delete(&model.LoginSession{})
	})
	return database.Wrap(err, "delete a login session")
}

// DeleteAll logs everybody out of every browser.
func (s *Sessions) DeleteAll(ctx context.Context) error {
	_, err := s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB { return tx.Where("1 = 1").Delete(&model.LoginSession{}) })
	return database.Wrap(err, "delete all login sessions")
}

// endSessions logs every browser of a person out.
func endSessions(tx *database.Tx, subject string) error {
	err := tx.Where("subject = ?", subject).Delete(&model.LoginSession{}).Error
	return database.Wrap(err, "delete the login sessions of a person")
}
