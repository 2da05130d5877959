package storage

import (
	"context"
	"fmt"
	"testing"
)

// countingWriter counts what reaches the database.
type countingWriter struct {
	writer
	statements, rows int64
}

func (w *countingWriter) exec(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := w.writer.exec(ctx, query, args...)
	w.statements++
	w.rows += n
	return n, err
}

func (w *countingWriter) write(context.Context, func(context.Context, queryer) error) error {
	return fmt.Errorf("more than one statement")
}

func TestRevokingAClientChangesOneRowHoweverManyTokensItHas(t *testing.T) {
	const tokens = 10_000
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, s := context.Background(), e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		request.Form.Set("grant_type", "client_credentials")
		if err := s.InTransaction(ctx, func(ctx context.Context) error {
			for i := range tokens {
				if err := s.CreateAccessTokenSession(ctx, fmt.Sprint(i), request); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		counting := &countingWriter{writer: s.writer}
		s.writer = counting
		if err := s.RevokeClient(ctx, "machine"); err != nil {
			t.Fatal(err)
		}
		if counting.statements != 1 || counting.rows != 1 {
			t.Errorf("%d statements changed %d rows, want one and one", counting.statements, counting.rows)
		}
		for i := 0; i < tokens; i += tokens / 10 {
			wantAccess(t, s, fmt.Sprint(i), false)
		}
		wantAccess(t, s, fmt.Sprint(tokens-1), false)
	})
}
