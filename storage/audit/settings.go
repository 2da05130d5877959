package audit

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Settings are facts about this deployment that must never change by accident: the issuer, for one.
type Settings struct{ db *database.DB }

// NewSettings makes the settings of db.
func NewSettings(db *database.DB) *Settings { return &Settings{db} }

// Get reads a fact; ok is false when it was never set.
func (s *Settings) Get(ctx context.Context, name string) (value string, ok bool, err error) {
	setting, err := database.FindOne[model.Setting](s.db.Read(ctx).Where("name = ?", name), "read setting "+name)
	if setting == nil {
		return "", false, err
	}
	return setting.Value, true, nil
}

// Once stores a fact unless one of this name is there, and returns the stored value.
func (s *Settings) Once(ctx context.Context, name, value string) (string, error) {
	stored, ok, err := s.Get(ctx, name)
	if err != nil || ok {
		return stored, err
	}
	_, err = s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&model.Setting{Name: name, Value: value})
	})
	if err != nil {
		return "", database.Wrap(err, "store setting "+name)
	}
	stored, _, err = s.Get(ctx, name)
	return stored, err
}

// Replace changes a fact from one value to another, and does nothing when it has changed in the meantime.
func (s *Settings) Replace(ctx context.Context, name, from, to string) error {
	_, err := s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.Setting{}).Where("name = ? AND value = ?", name, from).Update("value", to)
	})
	return database.Wrap(err, "change setting "+name)
}

// issuedTokens is the setting since when each issued token is an event; empty: they are none.
const issuedTokens = "issued_tokens_since"

// NoteIssuedTokens keeps since when each issued token is an event of the log (storage.AuditedTokens), or that they are none. Call it
// at each start: only the log of a time in which no server was without these events says what was not issued.
func (s *Settings) NoteIssuedTokens(ctx context.Context, recorded bool, now time.Time) error {
	since := ""
	if recorded {
		since = now.UTC().Format(time.RFC3339Nano)
	}
	stored, err := s.Once(ctx, issuedTokens, since)
	if err != nil || (stored != "") == recorded {
		return err
	}
	return s.Replace(ctx, issuedTokens, stored, since)
}

// IssuedTokensSince is since when each issued token is an event of the log; zero: they are none.
func (s *Settings) IssuedTokensSince(ctx context.Context) (time.Time, error) {
	stored, _, err := s.Get(ctx, issuedTokens)
	if err != nil || stored == "" {
		return time.Time{}, err
	}
	since, err := time.Parse(time.RFC3339Nano, stored)
	return since, database.Wrap(err, "read setting "+issuedTokens)
}
