package database

import (
	"errors"
	"testing"

	"gorm.io/gorm"
)

// resolver stands for gorm.io/plugin/dbresolver, which sends a read to a replica unless it is told otherwise.
type resolver struct{ replica, primary int }

func (*resolver) Name() string { return "gorm:db_resolver" }

func (r *resolver) Initialize(db *gorm.DB) error {
	resolve := func(tx *gorm.DB) {
		if _, ok := tx.Statement.Settings.Load("gorm:db_resolver:write"); ok {
			r.primary++
		} else {
			r.replica++
		}
	}
	return errors.Join(db.Callback().Query().Before("*").Register(r.Name(), resolve), db.Callback().Row().Before("*").Register(r.Name(), resolve))
}

// A replica may not know of a revocation yet.
func TestReadsGoToThePrimary(t *testing.T) {
	db, ctx, r := newSQLite(t), soon(t), new(resolver)
	if err := db.Host().Use(r); err != nil {
		t.Fatal(err)
	}
	var n int
	var rows []map[string]any
	for name, read := range map[string]func() error{
		"SQL":                  func() error { return db.QueryRow(ctx, "SELECT 1").Scan(&n) },
		"SQL in a session":     func() error { return db.Read(ctx).QueryRow("SELECT 1").Scan(&n) },
		"statements of GORM's": func() error { return db.Read(ctx).Table("sqlite_master").Find(&rows).Error },
	} {
		*r = resolver{}
		if err := read(); err != nil || r.replica != 0 || r.primary != 1 {
			t.Errorf("%s: %d reads of a replica, %d of the primary (%v)", name, r.replica, r.primary, err)
		}
	}
}
