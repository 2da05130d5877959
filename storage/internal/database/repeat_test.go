package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// failing answers with a SQLSTATE, as the PostgreSQL driver does.
func failing(code string) error { return &pgconn.PgError{Code: code} }

func TestConflictsAreRetriedWithABound(t *testing.T) {
	for _, c := range []struct {
		name string
		errs []error // one per attempt; the last one goes on
		runs int
		want error
	}{
		{"success", []error{nil}, 1, nil},
		{"a serialization failure, then success", []error{failing("40001"), nil}, 2, nil},
		{"a deadlock, then success", []error{failing("40P01"), failing("40P01"), nil}, 3, nil},
		{"never ending", []error{failing("40001")}, conflictRetries + 1, failing("40001")},
		{"another failure", []error{failing("23505")}, 1, failing("23505")},
		{"a lost connection", []error{sql.ErrConnDone}, 1, sql.ErrConnDone},
		{"a dead connection, then success", []error{driver.ErrBadConn, nil}, 2, nil},
		{"a session that was ended, then success", []error{failing("57P01"), nil}, 2, nil},
		{"a standby, then success", []error{failing("25006"), nil}, 2, nil},
		{"a standby for ever", []error{failing("25006")}, reconnects + 1, failing("25006")},
		{"a connection that broke in the middle", []error{io.ErrUnexpectedEOF}, 1, io.ErrUnexpectedEOF},
		{"one that broke before the commit", []error{notCommitted(io.ErrUnexpectedEOF), nil}, 2, nil},
		{"a caller who has gone", []error{notCommitted(context.Canceled)}, 1, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 0
			err := Repeat(context.Background(), func() error {
				runs++
				return c.errs[min(runs, len(c.errs))-1]
			})
			if runs != c.runs || (err == nil) != (c.want == nil) || err != nil && err.Error() != c.want.Error() {
				t.Errorf("%d runs and error %v, want %d and %v", runs, err, c.runs, c.want)
			}
		})
	}
}

func TestRetryingConflictsEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	runs := 0
	err := Repeat(ctx, func() error { runs++; cancel(); return failing("40001") })
	if runs != 1 || !errors.Is(err, context.Canceled) || !isConflict(err) {
		t.Errorf("%d runs and error %v, want one and both reasons", runs, err)
	}
}
