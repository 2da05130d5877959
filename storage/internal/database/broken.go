package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// broken stands in for a database that New could not use.
func broken() *gorm.DB {
	db, err := gorm.Open(brokenDialector{}, &gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true})
	if err != nil {
		panic(err) // the dialector does nothing that could fail
	}
	return db
}

type brokenDialector struct{ gorm.Dialector }

func (brokenDialector) Name() string { return "none" }

func (brokenDialector) Initialize(db *gorm.DB) error {
	db.ConnPool = sql.OpenDB(brokenConnector{})
	return nil
}

func (brokenDialector) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { _ = w.WriteByte('?') }
func (brokenDialector) QuoteTo(w clause.Writer, name string)                { _, _ = w.WriteString(name) }
func (brokenDialector) DataTypeOf(*schema.Field) string                     { return "" }
func (brokenDialector) Explain(sql string, _ ...any) string                 { return sql }

var errBroken = errors.New("storage: there is no database")

type brokenConnector struct{}

func (c brokenConnector) Connect(context.Context) (driver.Conn, error) { return nil, errBroken }
func (c brokenConnector) Driver() driver.Driver                        { return c }
func (c brokenConnector) Open(string) (driver.Conn, error)             { return nil, errBroken }
