package database

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// unusable stands for a database that New cannot use. The caller adds the error with which every statement fails.
func unusable() *gorm.DB {
	db, err := gorm.Open(noDialector{}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		panic(err) // the dialector does nothing that could fail
	}
	return db
}

type noDialector struct{ gorm.Dialector }

func (noDialector) Name() string                         { return "none" }
func (noDialector) Initialize(*gorm.DB) error            { return nil }
func (noDialector) QuoteTo(w clause.Writer, name string) { _, _ = w.WriteString(name) }
