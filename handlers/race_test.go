package handlers_test

import (
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"fosite-mcp/provider"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

const racers = 16

// onEveryEngine runs a test on SQLite, and on PostgreSQL when FOSITE_MCP_TEST_POSTGRES names a server.
func onEveryEngine(t *testing.T, test func(t *testing.T, f *fixture), edits ...func(*fixture)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newFixture(t, edits...)) })
	if server := os.Getenv("FOSITE_MCP_TEST_POSTGRES"); server != "" {
		t.Run("PostgreSQL", func(t *testing.T) {
			test(t, newFixture(t, append(edits, func(f *fixture) { f.open(throwAwaySchema(t, server)) })...))
		})
	}
}

// throwAwaySchema is a schema of its own, dropped at the end of the test.
func throwAwaySchema(t *testing.T, server string) gorm.Dialector {
	t.Helper()
	outer, err := gorm.Open(postgres.Open(server))
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("handlers_%d_%d", os.Getpid(), time.Now().UnixNano())
	if err := outer.Exec("CREATE SCHEMA " + schema).Error; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := outer.Exec("DROP SCHEMA " + schema + " CASCADE").Error; err != nil {
			t.Error(err)
		}
		if pool, err := outer.DB(); err == nil {
			_ = pool.Close()
		}
	})
	inner, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := inner.Query()
	query.Set("search_path", schema)
	inner.RawQuery = query.Encode()
	return postgres.Open(inner.String())
}

// race sends the requests at the same moment.
func (f *fixture) race(requests ...*request) []answer {
	answers := make([]answer, len(requests))
	start := make(chan struct{})
	var done sync.WaitGroup
	for i, r := range requests {
		done.Go(func() {
			<-start
			answers[i] = f.do(r)
		})
	}
	close(start)
	done.Wait()
	return answers
}

// same is the same request, as often as there are racers.
func same(r func() *request) []*request {
	var requests []*request
	for range racers {
		requests = append(requests, r())
	}
	return requests
}

// succeeded are the tokens of the answers with 200; all others must be 400 invalid_grant.
func succeeded(t *testing.T, answers []answer) (all []tokens) {
	t.Helper()
	for _, a := range answers {
		access, _ := a.json["access_token"].(string)
		refresh, _ := a.json["refresh_token"].(string)
		switch {
		case a.status == 200 && access != "":
			all = append(all, tokens{access, refresh})
		case a.status != 400 || a.json["error"] != "invalid_grant":
			t.Errorf("a loser got %d %s, want 400 invalid_grant", a.status, a.text)
		}
	}
	return all
}

// RFC 6749 §4.1.2. The losers are reuse, which ends what the winner got.
func TestOfConcurrentRedemptionsExactlyOneSucceeds(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		for range 5 {
			code := f.code()
			won := succeeded(t, f.race(same(func() *request { return redeem(code) })...))
			if len(won) != 1 {
				t.Fatalf("%d redemptions succeeded, want 1", len(won))
			}
			if f.alive(won[0].access) {
				t.Error("the access token outlived the reuse of its code")
			}
			if a := f.do(refresh(won[0].refresh)); a.json["error"] != "invalid_grant" {
				t.Errorf("the refresh token outlived the reuse of its code: %s", a.text)
			}
		}
	})
}

// An attacker who tries verifiers at the same time neither wins nor spoils it for the client.
func TestWrongVerifiersNeverWinARace(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		f.app("thief")
		code := f.code()
		requests := []*request{redeem(code)}
		for range racers {
			requests = append(requests, redeem(code, "client_id", "thief"))
		}
		won := succeeded(t, f.race(requests...))
		if len(won) != 1 || !f.alive(won[0].access) {
			t.Errorf("%d won; the client's must win, and live", len(won))
		}
		code = f.code()
		if won := succeeded(t, f.race(same(func() *request { return redeem(code, "code_verifier", challenge) })...)); len(won) != 0 {
			t.Errorf("%d won with a wrong verifier", len(won))
		}
		f.tokens(redeem(code))
	})
}

// A few programs that share a refresh token all go on. What is beyond a few gets nothing, and ends nothing.
func TestConcurrentRefreshesStayInTheFamily(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		first := f.login()
		won := succeeded(t, f.race(same(func() *request { return refresh(first.refresh) })...))
		if len(won) < 3 || len(won) > 8 {
			t.Fatalf("%d of %d refreshes succeeded within the grace, want a few", len(won), racers)
		}
		for range racers {
			if a := f.do(refresh(first.refresh)); a.status != 400 || a.json["error"] != "invalid_grant" {
				t.Fatalf("one refresh too many: %d %s", a.status, a.text)
			}
		}
		for _, got := range won {
			if !f.alive(got.access) {
				t.Error("an access token is dead")
			}
		}
		won = append(won, f.tokens(refresh(won[0].refresh)), f.tokens(refresh(won[1].refresh)))
		f.clock = f.clock.Add(2 * time.Minute)
		f.do(refresh(first.refresh))
		for _, got := range won {
			if a := f.do(refresh(got.refresh)); f.alive(got.access) || a.json["error"] != "invalid_grant" {
				t.Errorf("a branch outlived the end of its family: %s", a.text)
			}
		}
	})
}

// Whoever used the successor has received it: the old token comes from somebody else.
func TestTheGraceEndsWhenASuccessorWasUsed(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		first := f.login()
		branches := []tokens{f.tokens(refresh(first.refresh)), f.tokens(refresh(first.refresh))}
		if !f.alive(branches[0].access) { // introspected: that does not count as the successor's use
			t.Fatal("an access token is dead")
		}
		branches = append(branches, f.tokens(refresh(first.refresh)))
		branches = append(branches, f.tokens(refresh(branches[1].refresh)))
		if won := succeeded(t, f.race(same(func() *request { return refresh(first.refresh) })...)); len(won) != 0 {
			t.Errorf("%d refreshes succeeded after the successor's", len(won))
		}
		for _, got := range branches {
			if a := f.do(refresh(got.refresh)); f.alive(got.access) || a.json["error"] != "invalid_grant" {
				t.Errorf("a branch outlived the reuse: %s", a.text)
			}
		}
	})
}

func TestOfConcurrentRefreshesWithoutAGraceOneSucceeds(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		first := f.login()
		won := succeeded(t, f.race(same(func() *request { return refresh(first.refresh) })...))
		if len(won) != 1 {
			t.Fatalf("%d refreshes succeeded, want 1", len(won))
		}
		if f.alive(won[0].access) {
			t.Error("the access token outlived the reuse")
		}
	}, func(f *fixture) { f.grace = 0 })
}

// Whatever comes first: after a revocation has been acknowledged nothing of the grant is alive.
func TestARefreshNeverSurvivesAConcurrentRevocation(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		for range 10 {
			first := f.login()
			answers := f.race(refresh(first.refresh), post("/revoke", "client_id", "app", "token", first.refresh))
			if answers[1].status != 200 {
				t.Fatalf("revocation: %d %s", answers[1].status, answers[1].text)
			}
			for _, got := range succeeded(t, answers[:1]) {
				if a := f.do(refresh(got.refresh)); f.alive(got.access) || a.json["error"] != "invalid_grant" {
					t.Errorf("survived: access token %v, refresh %s", f.alive(got.access), a.text)
				}
			}
		}
	})
}

// Two clients of one server at once, with people's lifespans: nothing is shared that should not be.
func TestConcurrentLogins(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		var codes []*request
		for range racers {
			codes = append(codes, redeem(f.code()))
		}
		won := succeeded(t, f.race(codes...))
		seen := map[string]bool{}
		for _, got := range won {
			seen[got.access] = true
			if !f.alive(got.access) {
				t.Error("an access token is dead")
			}
		}
		if len(seen) != racers {
			t.Errorf("%d tokens, want %d", len(seen), racers)
		}
	}, func(f *fixture) { f.change = func(o *provider.Options) { o.PersonTokenLifespan = time.Hour } })
}
