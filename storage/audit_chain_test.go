package storage

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
)

// A process goes on from where it thinks that the chain ends. Another process may have gone on from there before, and what it
// thinks may have been rolled back.
func TestTheChainGoesOnWhereverItHasEnded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, dialector, listener := soon(t), e.dialector(t), new(told)
		s, other := New(openPool(t, dialector()), WithAuditListener(listener.listen)), New(openPool(t, dialector()), WithAuditListener(listener.listen))
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		s.addClient(t, "machine")
		var want []string
		issued := func() string {
			name := fmt.Sprint("token ", len(want))
			if err := s.CreateAccessTokenSession(ctx, name, s.ofMachine(t)); err != nil {
				t.Fatal(err)
			}
			want = append(want, TokenID(name))
			return name
		}
		revoke := func(by *Store, name string) error {
			_, err := by.RevokeOwnToken(ctx, fosite.AccessToken, name, "machine")
			return err
		}
		for range 2 {
			for _, by := range []*Store{s, other, other, s, s} {
				if err := revoke(by, issued()); err != nil {
					t.Fatal(err)
				}
			}
			if err := revoke(other, "unknown"); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%v, want that there is no such token", err)
			}
			undone := s.db.Host().Begin()
			if err := s.Audit().Append(WithTx(ctx, undone), audit.Event{Action: "undone"}); err != nil {
				t.Fatal(err)
			}
			if err := undone.Rollback().Error; err != nil {
				t.Fatal(err)
			}
		}
		if e.name == "postgres" { // the chain grows while a revocation waits for it
			host, done := other.db.Host().Begin(), make(chan error, 1)
			if err := other.Audit().Append(WithTx(ctx, host), audit.Event{Action: "token.revoked", TokenID: "the host's"}); err != nil {
				t.Fatal(err)
			}
			want, listener.actions = append(want, "the host's"), append(listener.actions, "the host's")
			token := issued()
			var holder int
			if err := host.Raw("SELECT pg_backend_pid()").Row().Scan(&holder); err != nil {
				t.Fatal(err)
			}
			go func() { done <- revoke(s, token) }()
			eventually(t, "the revocation waits", func() bool {
				var waiting int
				err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM pg_stat_activity WHERE ? = ANY(pg_blocking_pids(pid))`, holder).Scan(&waiting)
				return err == nil && waiting == 1
			})
			if err := errors.Join(host.Commit().Error, <-done); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, event := range s.eventsOf(t, "token.revoked") {
			got = append(got, event.TokenID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("events of %q, want %q", got, want)
		}
		if len(listener.actions) != len(want) {
			t.Errorf("the listener was told of %d events, want %d", len(listener.actions), len(want))
		}
		wantChain(t, s, int64(len(want)), 0)
	})
}
