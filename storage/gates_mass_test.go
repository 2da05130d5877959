package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gorm.io/gorm"
)

// statements counts what reaches the database through GORM.
type statements struct{ number, rows int64 }

// countStatements counts from now on, without the one by which a transaction takes SQLite's lock.
func countStatements(t *testing.T, s *Store) *statements {
	t.Helper()
	counted := &statements{}
	count := func(db *gorm.DB) {
		if !strings.HasSuffix(db.Statement.SQL.String(), " WHERE 0") {
			counted.number++
			counted.rows += max(0, db.RowsAffected)
		}
	}
	callbacks := s.db.Host().Callback()
	for _, register := range []func(string, func(*gorm.DB)) error{
		callbacks.Create().After("*").Register, callbacks.Query().After("*").Register, callbacks.Update().After("*").Register,
		callbacks.Delete().After("*").Register, callbacks.Row().After("*").Register, callbacks.Raw().After("*").Register,
	} {
		if err := register("test:count "+t.Name(), count); err != nil {
			t.Fatal(err)
		}
	}
	return counted
}

func TestRevokingAClientChangesTwoRowsHoweverManyTokensItHas(t *testing.T) {
	const tokens = 1000
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		request.Form.Set("grant_type", "client_credentials")
		if err := s.Atomically(ctx, func(ctx context.Context) error {
			for i := range tokens {
				if err := s.CreateAccessTokenSession(ctx, fmt.Sprint(i), request); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		counting := countStatements(t, s)
		if err := s.RevokeClient(ctx, "machine"); err != nil {
			t.Fatal(err)
		}
		if counting.number != 2 || counting.rows != 2 {
			t.Errorf("%d statements changed %d rows, want two and two", counting.number, counting.rows)
		}
		for i := 0; i < tokens; i += tokens / 10 {
			wantAccess(t, s, fmt.Sprint(i), false)
		}
		wantAccess(t, s, fmt.Sprint(tokens-1), false)
	})
}
