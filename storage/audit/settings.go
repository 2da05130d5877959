package audit

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Settings are facts about this deployment that must never change by accident: the issuer, for one.
type Settings struct{ db *database.DB }

// NewSettings are those of db.
func NewSettings(db *database.DB) *Settings { return &Settings{db} }

// Get reads a fact; ok is false when it was never set.
func (s *Settings) Get(ctx context.Context, name string) (value string, ok bool, err error) {
	var setting model.Setting
	result := s.db.Read(ctx).Where("name = ?", name).Limit(1).Find(&setting)
	if result.Error != nil {
		return "", false, fmt.Errorf("storage: read setting %s: %w", name, result.Error)
	}
	return setting.Value, result.RowsAffected > 0, nil
}

// Once stores a fact that must not change, unless it is there already, and returns what is stored.
func (s *Settings) Once(ctx context.Context, name, value string) (string, error) {
	stored, ok, err := s.Get(ctx, name)
	if err != nil || ok {
		return stored, err
	}
	_, err = s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&model.Setting{Name: name, Value: value})
	})
	if err != nil {
		return "", fmt.Errorf("storage: store setting %s: %w", name, err)
	}
	stored, _, err = s.Get(ctx, name)
	return stored, err
}

// Replace changes a fact from one value to another, and does nothing when it has changed in the meantime.
func (s *Settings) Replace(ctx context.Context, name, from, to string) error {
	_, err := s.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.Setting{}).Where("name = ? AND value = ?", name, from).Update("value", to)
	})
	if err != nil {
		return fmt.Errorf("storage: change setting %s: %w", name, err)
	}
	return nil
}
