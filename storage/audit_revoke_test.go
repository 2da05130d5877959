package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
)

// told collects what an audit listener is told.
type told struct {
	mu      sync.Mutex
	actions []string
}

func (l *told) listen(e audit.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.actions = append(l.actions, e.Action)
}

// eventsOf are the events of an action, with what differs from run to run left out.
func (s *Store) eventsOf(t *testing.T, action string) (events []audit.Event) {
	t.Helper()
	stored, _, err := s.Audit().List(t.Context(), audit.Filter{Action: action, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range stored {
		events = append(events, audit.Event{Actor: e.Actor, Action: e.Action, ClientID: e.ClientID, TokenID: e.TokenID, RequestID: e.RequestID, IP: e.IP, Outcome: e.Outcome, Changes: e.Changes})
	}
	return events
}

// execSQL changes the database behind the store's back.
func execSQL(t *testing.T, s *Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.db.Run(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func wantChain(t *testing.T, s *Store, wantCount, wantBad int64) {
	t.Helper()
	count, bad, err := s.Audit().Verify(t.Context(), nil)
	if count != wantCount || bad != wantBad || err != nil {
		t.Errorf("%d events verified, first bad %d (%v); want %d and %d", count, bad, err, wantCount, wantBad)
	}
}

// ofMachine is a request for a token without a grant.
func (s *Store) ofMachine(t *testing.T) *fosite.Request {
	t.Helper()
	request := s.authenticated(t, "machine")
	request.Session = &fosite.DefaultSession{}
	request.Form.Set("grant_type", "client_credentials")
	return request
}

func TestAClientsOwnRevocationIsOnRecordOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		listener := new(told)
		s := e.storeWithClients(t, WithAuditListener(listener.listen))
		ctx := audit.WithOrigin(t.Context(), audit.Origin{RequestID: "r1", IP: "192.0.2.1"})
		if err := s.CreateAccessTokenSession(ctx, "a machine's", s.ofMachine(t)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"by access", "by refresh"} {
			s.issue(t, name, s.authenticated(t, "machine"))
		}
		var want []audit.Event
		for _, token := range []struct {
			kind fosite.TokenType
			name string
		}{{fosite.AccessToken, "a machine's"}, {fosite.AccessToken, "by access"}, {fosite.RefreshToken, "by refresh"}} {
			if owner, err := s.RevokeOwnToken(ctx, token.kind, token.name, "person"); owner != "machine" || err != nil {
				t.Errorf("%s, by another client: owner %q, %v", token.name, owner, err)
			}
			if _, err := s.GetAccessTokenSession(ctx, token.name, nil); err != nil {
				t.Errorf("%s: another client has ended it: %v", token.name, err)
			}
			for range 3 {
				if owner, err := s.RevokeOwnToken(ctx, token.kind, token.name, "machine"); owner != "machine" || err != nil {
					t.Errorf("%s: owner %q, %v", token.name, owner, err)
				}
				wantAccess(t, s, token.name, false)
			}
			want = append(want, audit.Event{Actor: "client:machine", Action: "token.revoked", ClientID: "machine", TokenID: TokenID(token.name), RequestID: "r1", IP: "192.0.2.1", Outcome: audit.OutcomeSuccess})
		}
		for _, unknown := range []string{"unknown", ""} {
			if _, err := s.RevokeOwnToken(ctx, fosite.AccessToken, unknown, "machine"); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%q: %v, want ErrNotFound", unknown, err)
			}
		}
		if diff := cmp.Diff(want, s.eventsOf(t, "token.revoked")); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if len(listener.actions) != len(want) {
			t.Errorf("the listener was told %v", listener.actions)
		}
		wantChain(t, s, int64(len(want)), 0)
	})
}

func TestMachinesTokensOfOneRequestEndTogether(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		machine := s.ofMachine(t)
		for _, name := range []string{"one", "another"} {
			if err := s.CreateAccessTokenSession(t.Context(), name, machine); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if owner, err := s.RevokeOwnToken(t.Context(), fosite.AccessToken, "one", "machine"); owner != "machine" || err != nil {
				t.Errorf("owner %q, %v", owner, err)
			}
			wantAccess(t, s, "one", false)
			wantAccess(t, s, "another", false)
		}
		wantChain(t, s, 1, 0)
	})
}

func TestReuseIsOnRecordTogetherWithWhatItEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		listener := new(told)
		s := e.storeWithClients(t, WithAuditListener(listener.listen))
		request := s.authenticated(t, "machine")
		s.issue(t, "token", request)
		undo := errors.New("undo")
		err := s.Atomically(t.Context(), func(ctx context.Context) error {
			if ended, err := s.RevokeReused(ctx, "refresh_token.reused", request, "token"); !ended || err != nil {
				t.Errorf("in a transaction: ended %v, %v", ended, err)
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		wantAccess(t, s, "token", true)
		if n := len(s.eventsOf(t, "")); n != 0 || len(listener.actions) != 0 {
			t.Errorf("a change that was undone has left %d events, and told %v", n, listener.actions)
		}
		for _, want := range []bool{true, false} {
			if ended, err := s.RevokeReused(t.Context(), "refresh_token.reused", request, "token"); ended != want || err != nil {
				t.Errorf("ended %v, %v, want %v", ended, err, want)
			}
			wantAccess(t, s, "token", false)
		}
		want := []audit.Event{{
			Actor: "client:machine", Action: "refresh_token.reused", ClientID: "machine", TokenID: TokenID("token"), Outcome: audit.OutcomeFailure,
			Changes: []byte(`{"grant":{"after":"revoked"},"subject":{"after":"subject of machine"}}`),
		}}
		if diff := cmp.Diff(want, s.eventsOf(t, "")); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// Every caller revokes every token, at two replicas: each token has one event, and the chain holds.
func TestRevocationsUnderFireAreOnRecordOnceEach(t *testing.T) {
	const callers, tokens = 16, 40
	onEachEngine(t, func(t *testing.T, e testEngine) {
		listener := new(told)
		dialector := e.dialector(t)
		s, replica := New(openPool(t, dialector()), WithAuditListener(listener.listen)), New(openPool(t, dialector()), WithAuditListener(listener.listen))
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.addClient(t, "machine")
		for i := range tokens {
			request := s.authenticated(t, "machine")
			if i%4 == 0 {
				s.issue(t, fmt.Sprint("token ", i), request)
				continue
			}
			if err := s.CreateAccessTokenSession(t.Context(), fmt.Sprint("token ", i), request); err != nil {
				t.Fatal(err)
			}
		}
		var done sync.WaitGroup
		for caller := range callers {
			s := s
			if caller%2 == 1 {
				s = replica
			}
			done.Go(func() {
				for i := range tokens {
					name := fmt.Sprint("token ", (i+caller*tokens/callers)%tokens)
					if _, err := s.RevokeOwnToken(t.Context(), fosite.AccessToken, name, "machine"); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		done.Wait()
		seen := map[string]int{}
		for _, event := range s.eventsOf(t, "token.revoked") {
			seen[event.TokenID]++
		}
		for i := range tokens {
			name := fmt.Sprint("token ", i)
			if seen[TokenID(name)] != 1 {
				t.Errorf("%s has %d events, want one", name, seen[TokenID(name)])
			}
			wantAccess(t, s, name, false)
		}
		if len(listener.actions) != tokens {
			t.Errorf("the listener was told of %d events, want %d", len(listener.actions), tokens)
		}
		wantChain(t, s, tokens, 0)
	})
}

// What cannot be put on record is not done.
func TestARevocationWithoutItsEventDoesNotHappen(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		s.issue(t, "a person's", request)
		if err := s.CreateAccessTokenSession(t.Context(), "a machine's", s.authenticated(t, "machine")); err != nil {
			t.Fatal(err)
		}
		execSQL(t, s, `ALTER TABLE {audit_events} RENAME TO away`)
		_, machineErr := s.RevokeOwnToken(t.Context(), fosite.AccessToken, "a machine's", "machine")
		_, personErr := s.RevokeOwnToken(t.Context(), fosite.RefreshToken, "a person's", "machine")
		_, reuseErr := s.RevokeReused(t.Context(), "refresh_token.reused", request, "a person's")
		for name, err := range map[string]error{"a machine's": machineErr, "a person's": personErr, "reuse": reuseErr} {
			if err == nil || errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: %v, want a failure", name, err)
			}
		}
		wantAccess(t, s, "a machine's", true)
		wantAccess(t, s, "a person's", true)
	})
}

func TestTokensOfClientsFromElsewhereEndWithoutARecord(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		listener := new(told)
		s := e.store(t, WithClients(newClientMap(&fosite.DefaultClient{ID: "machine"})), WithAuditListener(listener.listen))
		request := newTestRequest("machine")
		if err := s.CreateAccessTokenSession(t.Context(), "a machine's", newTestRequest("machine")); err != nil {
			t.Fatal(err)
		}
		s.issue(t, "a person's", request)
		if owner, err := s.RevokeOwnToken(t.Context(), fosite.AccessToken, "a machine's", "machine"); owner != "machine" || err != nil {
			t.Errorf("owner %q, %v", owner, err)
		}
		wantAccess(t, s, "a machine's", false)
		for _, want := range []bool{true, false} {
			if ended, err := s.RevokeReused(t.Context(), "refresh_token.reused", request, "a person's"); ended != want || err != nil {
				t.Errorf("ended %v, %v, want %v", ended, err, want)
			}
			wantAccess(t, s, "a person's", false)
		}
		if err := s.Audit().Append(t.Context(), audit.Event{Action: "x"}); err != nil {
			t.Error(err)
		}
		if len(listener.actions) != 0 {
			t.Errorf("the listener was told %v", listener.actions)
		}
	})
}

// Whoever has a leaked secret may end the client's tokens with it.
func TestAClientsRevocationNamesTheSecretThatItUsed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		used := client.Of(request.GetClient()).UsedSecret()
		if err := s.CreateAccessTokenSession(t.Context(), "token", request); err != nil {
			t.Fatal(err)
		}
		ctx := reqinfo.With(t.Context(), reqinfo.Info{Facts: new(reqinfo.Facts)})
		if err := s.SecretUsed(ctx, request.GetClient(), used.Hash); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RevokeOwnToken(ctx, fosite.AccessToken, "token", "machine"); err != nil {
			t.Fatal(err)
		}
		events := s.eventsOf(t, "token.revoked")
		if want := fmt.Sprintf(`{"secret_id":{"after":%q}}`, used.ID); len(events) != 1 || string(events[0].Changes) != want {
			t.Errorf("%v, want %s", events, want)
		}
	})
}

func TestIssuedTokensCanBeAudited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		if err := (AuditedTokens{s}).CreateAccessTokenSession(t.Context(), "signature", request); err != nil {
			t.Fatal(err)
		}
		events, _, err := s.Audit().List(t.Context(), audit.Filter{Action: "token.issued"})
		if err != nil || len(events) != 1 || events[0].TokenID != TokenID("signature") || events[0].ClientID != "machine" {
			t.Errorf("%v %v", events, err)
		}
		if _, err := s.GetAccessTokenSession(t.Context(), "signature", &fosite.DefaultSession{}); err != nil {
			t.Error(err)
		}
	})
}

// An auditor learns which secret was used, for whom and for what, also when the token's row is gone.
func TestAnIssuedTokenIsOnRecordWithItsSecretSubjectAndAudience(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		used := client.Of(request.GetClient()).UsedSecret()
		if used == nil {
			t.Fatal("the client has authenticated with no secret")
		}
		request.GetSession().(*fosite.DefaultSession).Subject = "alice"
		request.GrantAudience("https://mcp.example.com/mcp")
		if err := (AuditedTokens{s}).CreateAccessTokenSession(t.Context(), "signature", request); err != nil {
			t.Fatal(err)
		}
		events, _, err := s.Audit().List(t.Context(), audit.Filter{Action: "token.issued"})
		if err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
		var changes map[string]struct{ After any }
		if err := json.Unmarshal(events[0].Changes, &changes); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"secret_id": used.ID, "subject": "alice", "audience": fmt.Sprint(request.GetGrantedAudience())} {
			if got := fmt.Sprint(changes[name].After); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	})
}
