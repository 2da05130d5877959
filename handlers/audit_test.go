package handlers_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

// events are the audit events so far, without times, ids and hashes.
func (f *fixture) events() (events []audit.Event) {
	f.t.Helper()
	stored, _, err := f.store.Audit().List(f.t.Context(), audit.Filter{Limit: 1000})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, bad, err := f.store.Audit().Verify(f.t.Context(), nil); bad != 0 || err != nil {
		f.t.Errorf("the audit chain is broken at %d: %v", bad, err)
	}
	for _, e := range stored {
		events = append(events, audit.Event{Actor: e.Actor, Action: e.Action, ClientID: e.ClientID, TokenID: e.TokenID, Outcome: e.Outcome, Changes: e.Changes})
	}
	return events
}

// alarms collects what Options.Reused is told.
type alarms struct {
	mu   sync.Mutex
	list []alarm
}

type alarm struct {
	action string
	ended  bool
}

func (a *alarms) reused(_ context.Context, action string, _ fosite.Requester, _ string, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, alarm{action, ended})
}

// RFC 9700 §4.14.2: what reuse ends is on record together with the reuse, once; whoever wants to know hears of every try.
func TestReuseIsOnRecord(t *testing.T) {
	for action, c := range map[string]struct {
		use       func(code string, first tokens) *request
		signature func(f *fixture, code string, first tokens) string
	}{
		provider.CodeReused: {
			func(code string, _ tokens) *request { return redeem(code) },
			func(f *fixture, code string, _ tokens) string {
				return f.oauth.Strategy.AuthorizeCodeSignature(f.t.Context(), code)
			},
		},
		provider.RefreshReused: {
			func(_ string, first tokens) *request { return refresh(first.refresh) },
			func(f *fixture, _ string, first tokens) string {
				return f.oauth.Strategy.RefreshTokenSignature(f.t.Context(), first.refresh)
			},
		},
	} {
		t.Run(action, func(t *testing.T) {
			told := new(alarms)
			onEveryEngine(t, func(t *testing.T, f *fixture) {
				told.list = nil
				f.app("app")
				f.app("thief")
				code := f.code()
				first := f.tokens(redeem(code))
				f.tokens(refresh(first.refresh))
				f.clock = f.clock.Add(2 * time.Minute)
				f.do(redeem(code, "client_id", "thief"))
				f.do(refresh(first.refresh, "client_id", "thief"))
				if events := f.events(); len(events) != 0 || len(told.list) != 0 {
					t.Fatalf("without any reuse: %v, %v", events, told.list)
				}
				for range 3 {
					f.do(c.use(code, first))
				}
				want := []audit.Event{{
					Actor: "client:app", Action: action, ClientID: "app", TokenID: storage.TokenID(c.signature(f, code, first)),
					Outcome: audit.OutcomeFailure, Changes: []byte(`{"grant":{"after":"revoked"},"subject":{"after":"u1"}}`),
				}}
				if diff := cmp.Diff(want, f.events()); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]alarm{{action, true}, {action, false}, {action, false}}, told.list, cmp.AllowUnexported(alarm{})); diff != "" {
					t.Errorf("alarms (-want +got):\n%s", diff)
				}
			}, func(f *fixture) { f.change = func(o *provider.Options) { o.Reused = told.reused } })
		})
	}
}

// Whoever wins the race: one event for the one grant that ended.
func TestALostRaceIsOnRecordOnce(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		code := f.code()
		f.race(same(func() *request { return redeem(code) })...)
		if events := f.events(); len(events) != 1 || events[0].Action != provider.CodeReused {
			t.Errorf("events: %v", events)
		}
		first := f.login()
		f.race(same(func() *request { return refresh(first.refresh) })...)
		if events := f.events(); len(events) != 2 || events[1].Action != provider.RefreshReused {
			t.Errorf("events: %v", events)
		}
	}, func(f *fixture) { f.grace = 0 })
}

func TestARevocationIsOnRecordOnce(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, f *fixture) {
		f.app("app")
		f.app("thief")
		secret := f.client("machine")
		machine, person, another := f.token("machine", secret), f.login(), f.login()
		f.do(post("/revoke", "token", person.access, "client_id", "thief"))
		f.do(post("/revoke", "token", machine, "client_id", "thief"))
		f.do(post("/revoke", "token", "garbage", "client_id", "app"))
		if events := f.events(); len(events) != 0 {
			t.Fatalf("nothing was revoked: %v", events)
		}
		for range 3 {
			f.do(post("/revoke", "token", machine).basic("machine", secret))
			f.do(post("/revoke", "token", person.access, "client_id", "app"))
			f.do(post("/revoke", "token", person.refresh, "client_id", "app"))
			f.do(post("/revoke", "token", another.refresh, "client_id", "app", "token_type_hint", "refresh_token"))
		}
		access, refresh := f.oauth.Strategy.AccessTokenSignature, f.oauth.Strategy.RefreshTokenSignature
		revoked := func(client, signature string) audit.Event {
			return audit.Event{Actor: "client:" + client, Action: "token.revoked", ClientID: client, TokenID: storage.TokenID(signature), Outcome: audit.OutcomeSuccess}
		}
		want := []audit.Event{
			revoked("machine", access(t.Context(), machine)), revoked("app", access(t.Context(), person.access)), revoked("app", refresh(t.Context(), another.refresh)),
		}
		if diff := cmp.Diff(want, f.events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
