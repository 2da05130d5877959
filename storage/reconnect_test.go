package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ory/fosite"
)

// A session that the database has ended fails nobody: neither reads, nor single statements, nor transactions. The pool is
// a plain one, as host applications have it.
func TestWorkGoesOnWhereSessionsAreEnded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		if e.name != "postgres" {
			return
		}
		s, ctx := e.storeWithClients(t), soon(t)
		admin := openPool(t, e.dialector(t)())
		end := func() error {
			return admin.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?`, t.Name()).Error
		}
		const rounds = 15
		for round := range rounds {
			var group sync.WaitGroup
			errs := make(chan error, 100)
			for worker := range 5 {
				group.Go(func() { errs <- touch(ctx, s, t.Name(), fmt.Sprintf("%d-%d", round, worker)) })
			}
			group.Wait()
			close(errs)
			for err := range errs {
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			if err := end(); err != nil { // all of them are in the pool now
				t.Fatal(err)
			}
		}
	})
}

// touch writes, reads, and revokes a token, and names the session so that the test finds it.
func touch(ctx context.Context, s *Store, session, token string) error {
	request := newTestRequest("machine")
	_, err := s.GetClient(ctx, "machine")
	return errors.Join(err,
		s.CreateAccessTokenSession(ctx, token, request),
		s.Atomically(ctx, func(ctx context.Context) error {
			_, err := s.db.Run(ctx, `SELECT set_config('application_name', ?, false)`, session)
			return errors.Join(err, s.RevokeAccessToken(ctx, request.ID))
		}),
		wantInactive(ctx, s, token))
}

func wantInactive(ctx context.Context, s *Store, token string) error {
	if _, err := s.GetAccessTokenSession(ctx, token, nil); !errors.Is(err, fosite.ErrInactiveToken) && !errors.Is(err, fosite.ErrNotFound) {
		return fmt.Errorf("a revoked token: %w", err)
	}
	return nil
}
