package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// allRevoked are the two ways to end what every client was issued until now.
var allRevoked = map[string]func(ctx context.Context, s *Store) error{
	"all":    func(ctx context.Context, s *Store) error { return s.RevokeAll(ctx) },
	"before": func(ctx context.Context, s *Store) error { return s.RevokeAllBefore(ctx, s.now().Add(time.Nanosecond)) },
}

func TestRevokingAllEndsTheTokensOfEveryClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, revoke := range allRevoked {
			t.Run(name, func(t *testing.T) {
				ctx, clock := t.Context(), newTestClock()
				s := e.storeWithClients(t, WithClock(clock.now))
				inFlight := s.authenticated(t, "machine")
				for _, id := range []string{"machine", "person"} {
					s.issueFor(t, id, s.authenticated(t, id))
				}
				s.issueWithoutClient(t, "nobody's")
				if _, err := s.Clients().SetStatus(ctx, "person", client.Disabled, 0); err != nil { // enabling it brings nothing back
					t.Fatal(err)
				}
				cursor, counted := s.feedCursor(t), countStatements(t, s)
				if err := revoke(ctx, s); err != nil {
					t.Fatal(err)
				}
				if counted.number != 4 || counted.rows > 6 {
					t.Errorf("%d statements changed %d rows", counted.number, counted.rows)
				}
				if _, err := s.Clients().SetStatus(ctx, "person", client.Active, 0); err != nil {
					t.Fatal(err)
				}
				all := s.revoked(t, cursor, 1000)
				for _, id := range []string{"machine", "person"} {
					wantAlive(t, s, id, false)
					if !tells(all, id, id, clock.now()) {
						t.Errorf("the feed says %+v, and nothing of %s", all, id)
					}
				}
				wantAccess(t, s, "nobody's", false)
				if _, err := s.GetRefreshTokenSession(ctx, "nobody's", nil); err != fosite.ErrInactiveToken {
					t.Errorf("the refresh token without a client: %v", err)
				}
				s.issue(t, "in flight", inFlight)
				wantAlive(t, s, "in flight", false)
				clock.forward(time.Millisecond)
				s.issue(t, "new", s.authenticated(t, "machine"))
				wantAlive(t, s, "new", true)
			})
		}
	})
}

// issueWithoutClient stores tokens as fosite's own handler of assertions does.
func (s *Store) issueWithoutClient(t *testing.T, name string) {
	t.Helper()
	request := newTestRequest("")
	request.Client, request.RequestedAt = &fosite.DefaultClient{}, s.now()
	if err := s.CreateAccessTokenSession(t.Context(), name, request); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRefreshTokenSession(t.Context(), name, name, request); err != nil {
		t.Fatal(err)
	}
	wantAccess(t, s, name, true)
}

func TestRevokingAllBeforeATimeLeavesWhatIsNewer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clock := t.Context(), newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		for i := range 3 {
			s.issue(t, fmt.Sprint(i), s.authenticated(t, "machine"))
			s.issueWithoutClient(t, fmt.Sprint("nobody's ", i))
			clock.forward(time.Minute)
		}
		start := clock.now().Add(-3 * time.Minute)
		if err := s.RevokeClientBefore(ctx, "person", start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for i, before := range []time.Time{start.Add(time.Minute), start.Add(time.Minute + time.Nanosecond)} {
			dead := i + 1
			for range 2 { // an earlier time brings nothing back
				if err := s.RevokeAllBefore(ctx, before); err != nil {
					t.Fatal(err)
				}
				if err := s.RevokeAllBefore(ctx, start); err != nil {
					t.Fatal(err)
				}
			}
			for i := range dead {
				wantAlive(t, s, fmt.Sprint(i), false)
				wantAccess(t, s, fmt.Sprint("nobody's ", i), false)
			}
		}
		wantAlive(t, s, "2", true)
		wantAccess(t, s, "nobody's 2", true)
		s.issue(t, "of the person", s.authenticated(t, "person"))
		wantAlive(t, s, "of the person", false)
	})
}

// A client that is the host's tomorrow has lost its tokens there, too.
func TestRevokingAllCountsWhereClientsAreKeptElsewhereLater(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, revoke := range allRevoked {
			s := e.storeWithClients(t)
			s.issue(t, name, s.authenticated(t, "machine"))
			if err := revoke(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			elsewhere := New(s.db.Host(), WithClients(s))
			wantAccess(t, elsewhere, name, false)
			if err := elsewhere.RevokeAll(t.Context()); err == nil || !strings.Contains(err.Error(), "client by client") {
				t.Errorf("%s, where the clients are the host's: %v", name, err)
			}
		}
	})
}
