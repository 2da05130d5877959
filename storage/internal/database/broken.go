package database

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// broken stands in for a database that New could not use. Its user adds the error that keeps every statement from running.
func broken() *gorm.DB {
	db, err := gorm.Open(brokenDialector{}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		panic(err) // the dialector does nothing that could fail
	}
	return db
}

type brokenDialector struct{ gorm.Dialector }

func (brokenDialector) Name() string                         { return "none" }
func (brokenDialector) Initialize(*gorm.DB) error            { return nil }
func (brokenDialector) QuoteTo(w clause.Writer, name string) { _, _ = w.WriteString(name) }
