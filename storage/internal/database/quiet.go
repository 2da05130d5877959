package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Quiet is db for statements of ours.
func Quiet(db *gorm.DB) *gorm.DB {
	q := db.Session(&gorm.Session{NewDB: true, SkipDefaultTransaction: true, Logger: quietLogger{db.Logger}})
	q.Config.TranslateError = false // what became of a statement is read from the driver's own errors
	return q
}

// quietLogger is the host's logger for statements whose values are hashes of tokens and secrets: it gets the statements
// and their errors without them.
type quietLogger struct{ logger.Interface }

// LogMode implements [logger.Interface].
func (l quietLogger) LogMode(level logger.LogLevel) logger.Interface {
	return quietLogger{l.Interface.LogMode(level)}
}

// ParamsFilter implements [gorm.ParamsFilter].
func (quietLogger) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// Trace implements [logger.Interface]. An error of PostgreSQL's has the values of the row in its fields, and in its text none.
func (l quietLogger) Trace(ctx context.Context, begin time.Time, fc func() (sql string, rows int64), err error) {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		err = errors.New(err.Error())
	}
	l.Interface.Trace(ctx, begin, fc, err)
}
