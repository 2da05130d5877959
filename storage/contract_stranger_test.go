package storage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

func TestClientsFromElsewhere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		newStore := func(t *testing.T) (*Store, *testClock, *clientMap, func(name, clientID string)) {
			clock := newTestClock()
			clients := newClientMap(&fosite.DefaultClient{ID: "machine"}, &fosite.DefaultClient{ID: "person"})
			s := e.store(t, WithClients(clients), WithClock(clock.now))
			return s, clock, clients, func(name, clientID string) {
				request := newTestRequest(clientID)
				request.RequestedAt = clock.now()
				s.issue(t, name, request)
			}
		}

		t.Run("leave room for tables of the host's", func(t *testing.T) {
			db := openPool(t, e.dialector(t)())
			for _, table := range []string{"clients", "users", "settings", "audit_events"} {
				if err := db.Exec("CREATE TABLE " + table + " (theirs TEXT)").Error; err != nil {
					t.Fatal(err)
				}
			}
			s := New(db, WithClients(newClientMap(&fosite.DefaultClient{ID: "machine"})))
			for range 2 {
				if err := s.Migrate(soon(t)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.CheckSchema(soon(t)); err != nil {
				t.Error(err)
			}
			for name, err := range everyCall(soon(t), s, "") {
				if err != nil && name != "RevokeSecret" {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := s.CheckWrites(soon(t)); err != nil {
				t.Error(err)
			}
			if _, _, err := s.ListTokens(soon(t), "machine", TokenFilter{Active: new(bool)}); err != nil {
				t.Error(err)
			}
			s.TokenUsed(TokenID("access"))
			if err := s.FlushUsage(soon(t)); err != nil {
				t.Error(err)
			}
			if _, err := s.CleanUp(soon(t), CleanUp{Share: 1}); err != nil {
				t.Error(err)
			}
		})
		t.Run("are asked for", func(t *testing.T) {
			s, _, clients, issue := newStore(t)
			issue("token", "machine")
			got, err := s.GetAccessTokenSession(context.Background(), "token", nil)
			if err != nil || got.GetClient() != clients.clients["machine"] {
				t.Errorf("client = %v, error %v, want the stranger's own", got, err)
			}
		})
		t.Run("whose tokens are revoked go on afterwards", func(t *testing.T) {
			s, _, _, issue := newStore(t)
			issue("bystander", "person")
			for _, name := range []string{"first", "second", "third"} {
				issue(name, "machine")
				wantAlive(t, s, name, true)
				if err := s.RevokeClient(context.Background(), "machine"); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s, name, false)
			}
			wantAlive(t, s, "bystander", true)
		})
		t.Run("whose tokens are revoked up to a time go on afterwards", func(t *testing.T) {
			s, clock, _, issue := newStore(t)
			start := clock.now()
			issue("first", "machine")
			clock.forward(time.Minute)
			issue("second", "machine")
			for _, before := range []time.Time{start.Add(time.Second), start} { // an earlier time brings nothing back
				if err := s.RevokeClientBefore(context.Background(), "machine", before); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s, "first", false)
				wantAlive(t, s, "second", true)
			}
			if err := s.RevokeClient(context.Background(), "machine"); err != nil {
				t.Fatal(err)
			}
			wantAlive(t, s, "second", false)
			issue("third", "machine")
			wantAlive(t, s, "third", true)
		})
		t.Run("are not registered here", func(t *testing.T) {
			s, _, _, _ := newStore(t)
			if err := s.Clients().Create(soon(t), &client.Client{ID: "ours"}); err == nil || !strings.Contains(err.Error(), "WithClients") {
				t.Errorf("error %v; want one that names WithClients", err)
			}
			if _, err := s.Clients().Find(soon(t), "ours"); err == nil || errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("error %v; want one that says why there is none", err)
			}
		})
		t.Run("that are gone take their tokens with them", func(t *testing.T) {
			s, _, clients, issue := newStore(t)
			issue("token", "machine")
			delete(clients.clients, "machine")
			wantAccess(t, s, "token", false)
		})
	})
}
