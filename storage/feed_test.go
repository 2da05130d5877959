package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
)

const feedResource = "https://docs.example/mcp"

// issueFor is issue for a token that the resource server of feedResource may hear of.
func (s *Store) issueFor(t *testing.T, name string, request *fosite.Request) {
	t.Helper()
	request.GrantedAudience = fosite.Arguments{feedResource}
	s.issue(t, name, request)
}

// revoked reads the feed from cursor to its end.
func (s *Store) revoked(t *testing.T, cursor *string, limit int) (all []Revocation) {
	t.Helper()
	for {
		page, err := s.Revocations(t.Context(), *cursor, []string{"https://other.example", feedResource}, limit)
		if err != nil || page.Reset {
			t.Fatalf("%+v %v", page, err)
		}
		*cursor = page.Cursor
		all = append(all, page.Revocations...)
		if !page.More {
			return all
		}
	}
}

func (s *Store) feedCursor(t *testing.T) *string {
	t.Helper()
	page, err := s.Revocations(t.Context(), FromNow, nil, 1)
	if err != nil || page.Reset || page.More || len(page.Revocations) > 0 {
		t.Fatalf("%+v %v", page, err)
	}
	return &page.Cursor
}

// tells whether the feed says to ask again about a token of the client that was issued at a time.
func tells(all []Revocation, tokenName, clientID string, issuedAt time.Time) bool {
	return slices.ContainsFunc(all, func(r Revocation) bool {
		return r.Kind == EndedToken && r.ID == TokenID(tokenName) || r.Kind == ChangedClient && r.ID == clientID && issuedAt.Before(r.Time)
	})
}

func TestUseAndCleanUpAreNoNewsOfTheFeed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		request := s.authenticated(t, "machine")
		request.Session.SetExpiresAt(fosite.AccessToken, clock.now().Add(time.Hour))
		s.issueFor(t, "token", request)
		if err := s.RevokeGrant(t.Context(), request.ID); err != nil {
			t.Fatal(err)
		}
		s.issueFor(t, "another", s.authenticated(t, "machine"))
		cursor := s.feedCursor(t)
		s.TokenUsed(TokenID("another"))
		if err := s.FlushUsage(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.forward(24 * time.Hour)
		if n, err := s.CleanUp(t.Context(), CleanUp{}); n == 0 || err != nil {
			t.Fatalf("%d rows are cleaned up, %v", n, err)
		}
		if all := s.revoked(t, cursor, 1000); len(all) > 0 {
			t.Errorf("the feed says %+v", all)
		}
	})
}

func TestFeedIsKeptAsLongAsItsTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		clock.at = time.Now() // triggers have the clock of the database
		s := e.storeWithClients(t, WithClock(clock.now))
		for name, lifespan := range map[string]time.Duration{"short": time.Hour, "long": 48 * time.Hour} {
			s.addClient(t, name)
			request := s.authenticated(t, name)
			request.Session.SetExpiresAt(fosite.AccessToken, clock.now().Add(lifespan))
			s.issueFor(t, name, request)
			if err := s.RevokeGrant(t.Context(), request.ID); err != nil {
				t.Fatal(err)
			}
			if err := s.RevokeClient(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.RevokeClient(t.Context(), "person"); err != nil { // the newest row stays
			t.Fatal(err)
		}
		clock.forward(24 * time.Hour)
		if _, err := s.CleanUp(t.Context(), CleanUp{}); err != nil {
			t.Fatal(err)
		}
		beginning, issued := "", clock.now().Add(-24*time.Hour)
		all := s.revoked(t, &beginning, 1000)
		if !tells(all, "long", "", issued) || !tells(all, "", "long", issued) || tells(all, "short", "short", issued) {
			t.Errorf("after a day there are %+v, want those of the token that is alive", all)
		}
		clock.forward(72 * time.Hour)
		if _, err := s.CleanUp(t.Context(), CleanUp{}); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := s.db.Read(t.Context()).QueryRow(`SELECT COUNT(*) FROM {revocations}`).Scan(&rows); err != nil || rows != 1 {
			t.Errorf("%d rows are left, %v; want the newest one", rows, err)
		}
	})
}

func TestFeedTellsAResourceServerOfItsTokensAlone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		cursor := s.feedCursor(t)
		request := s.authenticated(t, "machine")
		s.issueFor(t, "token", request)
		if err := s.RevokeGrant(t.Context(), request.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeClient(t.Context(), "person"); err != nil {
			t.Fatal(err)
		}
		page, err := s.Revocations(t.Context(), *cursor, []string{feedResource + "/x", "docs"}, 10)
		if err != nil || len(page.Revocations) == 0 || tells(page.Revocations, "token", "", time.Time{}) || !tells(page.Revocations, "", "person", time.Now()) {
			t.Errorf("%+v %v, want the client alone", page, err)
		}
	})
}

// Every page is small, and rows come while they are read.
func TestPagesOfTheFeedMissNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		var requests []*fosite.Request
		for i := range 12 {
			request := s.authenticated(t, "machine")
			s.issueFor(t, fmt.Sprint(i), request)
			requests = append(requests, request)
		}
		cursor := s.feedCursor(t)
		end := func(from, to int) {
			if err := s.Atomically(t.Context(), func(ctx context.Context) error { // one position on PostgreSQL
				for _, request := range requests[from:to] {
					if err := s.RevokeGrant(ctx, request.ID); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		end(0, 7)
		page, err := s.Revocations(t.Context(), *cursor, []string{feedResource}, 2)
		if err != nil || !page.More || len(page.Revocations) != 2 || len(page.Cursor) > 512 {
			t.Fatalf("%+v %v", page, err)
		}
		end(7, 12)
		all := append(page.Revocations, s.revoked(t, &page.Cursor, 2)...)
		for i := range 12 {
			if !tells(all, fmt.Sprint(i), "", time.Time{}) {
				t.Errorf("nothing is said of token %d in %+v", i, all)
			}
		}
	})
}

// PostgreSQL: a transaction that began first, and commits after others were read.
func TestFeedMissesNoTransactionThatCommitsLate(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		if !s.db.Postgres {
			t.Skip("SQLite has one writer at a time")
		}
		for _, name := range []string{"late", "early", "rolled back"} {
			request := s.authenticated(t, "machine")
			request.ID = name
			s.issueFor(t, name, request)
		}
		cursor := s.feedCursor(t)
		late, err := s.BeginTX(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		undone, err := s.BeginTX(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for ctx, name := range map[context.Context]string{late: "late", undone: "rolled back", t.Context(): "early"} {
			if err := s.RevokeGrant(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		if all := s.revoked(t, cursor, 1); !tells(all, "early", "", time.Time{}) || len(all) != 1 {
			t.Errorf("before the commit the feed says %+v", all)
		}
		if again := s.revoked(t, cursor, 1); len(again) > 0 {
			t.Errorf("once more: %+v", again)
		}
		if err := s.Rollback(undone); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(late); err != nil {
			t.Fatal(err)
		}
		if changed, _, err := s.HasRevocations(t.Context(), *cursor); !changed || err != nil {
			t.Errorf("changed %v, %v", changed, err)
		}
		if all := s.revoked(t, cursor, 1); !tells(all, "late", "", time.Time{}) || len(all) != 1 {
			t.Errorf("after the commit the feed says %+v", all)
		}
	})
}

// Several revoke, in transactions that take their time, while one reads small pages.
func TestFeedMissesNothingUnderLoad(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		const writers, tokens = 4, 24
		if err := s.Atomically(t.Context(), func(ctx context.Context) error {
			for i := range writers * tokens {
				request := s.authenticated(t, "machine")
				request.Form.Set("grant_type", "client_credentials")
				request.ID, request.Session, request.GrantedAudience = fmt.Sprint(i), &fosite.DefaultSession{}, fosite.Arguments{feedResource}
				if err := s.CreateAccessTokenSession(ctx, request.ID, request); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		cursor := s.feedCursor(t)
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := w; i < writers*tokens; i += 2 * writers {
					if err := s.Atomically(t.Context(), func(ctx context.Context) error {
						err := s.RevokeGrant(ctx, fmt.Sprint(i))
						time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
						return errors.Join(err, s.RevokeGrant(ctx, fmt.Sprint(i+writers)))
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { writing.Wait(); close(done) }()
		var all []Revocation
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
			}
			all = append(all, s.revoked(t, cursor, 2)...)
		}
		told := map[string]int{}
		for _, r := range all {
			told[r.ID]++
		}
		for i := range writers * tokens {
			if told[TokenID(fmt.Sprint(i))] == 0 {
				t.Errorf("nothing is said of token %d", i)
			}
		}
		if len(all) > 3*writers*tokens {
			t.Errorf("%d tokens are told %d times", writers*tokens, len(all))
		}
	})
}

func TestCursorOfAnotherLifeResetsTheReader(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		if err := s.RevokeClient(t.Context(), "machine"); err != nil {
			t.Fatal(err)
		}
		now := *s.feedCursor(t)
		epoch, _, _ := strings.Cut(now, ".")
		future := epoch + "." + snapshot{xmin: 1 << 60, xmax: 1 << 60}.short()
		for _, cursor := range []string{"x", "x.1", "another.1~0", "another.1~0.1~0.1.AA", now + ".1", epoch + ".1~0~7", epoch + ".0~0", future, now + "." + future} {
			page, err := s.Revocations(t.Context(), cursor, []string{feedResource}, 10)
			if err != nil || !page.Reset || page.More || len(page.Revocations) > 0 || page.Cursor == "" {
				t.Errorf("%s: %+v %v, want a reset", cursor, page, err)
			}
			if all := s.revoked(t, &page.Cursor, 10); len(all) > 0 {
				t.Errorf("%s: after the reset: %+v", cursor, all)
			}
		}
		if !s.db.Postgres {
			again := New(s.db.Host())
			if page, err := again.Revocations(t.Context(), now, nil, 10); err != nil || !page.Reset {
				t.Errorf("another process: %+v %v, want a reset", page, err)
			}
		}
	})
}

func TestFeedWithoutTriggersIsAnErrorWithTheRemedy(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := New(openPool(t, e.dialector(t)()))
		if err := s.db.Host().AutoMigrate(Models()...); err != nil {
			t.Fatal(err)
		}
		page, err := s.Revocations(t.Context(), "", nil, 10)
		if err == nil || !strings.Contains(err.Error(), "0 of 8 triggers") || !strings.Contains(err.Error(), "migrate sql") {
			t.Errorf("%+v %v, want an error that says what to do", page, err)
		}
	})
}

func TestHostTellsOfItsClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t, WithClients(hostsManager{}))
		cursor := s.feedCursor(t)
		for range 2 {
			if err := s.ClientChanged(t.Context(), "theirs"); err != nil {
				t.Fatal(err)
			}
			if all := s.revoked(t, cursor, 10); len(all) != 1 || !tells(all, "", "theirs", time.Now()) {
				t.Errorf("the feed says %+v", all)
			}
		}
		if err := s.RevokeClient(t.Context(), "theirs"); err != nil {
			t.Fatal(err)
		}
		if all := s.revoked(t, cursor, 10); len(all) != 1 || !tells(all, "", "theirs", time.Now()) {
			t.Errorf("after a revocation the feed says %+v", all)
		}
	})
}

type hostsManager struct{ fosite.ClientManager }

func TestSnapshotsComeBackFromTheWire(t *testing.T) {
	long := snapshot{xmin: 1000, xmax: 1_000_000}
	for id := int64(1000); id < 1_000_000; id += 5000 {
		long.running = append(long.running, id)
	}
	for _, c := range []struct{ sent, back snapshot }{
		{snapshot{1, 1, nil}, snapshot{1, 1, nil}},
		{snapshot{1 << 50, 1<<50 + 7, []int64{1 << 50, 1<<50 + 3, 1<<50 + 6}}, snapshot{1 << 50, 1<<50 + 7, []int64{1 << 50, 1<<50 + 3, 1<<50 + 6}}},
		{long, snapshot{1000, 1000, nil}}, // what was committed since comes twice
	} {
		got, err := parseShort(c.sent.short())
		if err != nil || got.String() != c.back.String() {
			t.Errorf("%s comes back as %s (%v)", c.sent, got, err)
		}
		read, err := parseSnapshot(got.String())
		if err != nil || read.String() != got.String() {
			t.Errorf("%s is read as %s (%v)", got, read, err)
		}
	}
}
