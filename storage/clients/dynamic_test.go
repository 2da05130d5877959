package clients_test

import (
	"errors"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"

	"github.com/ory/fosite"
)

// A registration is on record. What is never used is counted, and deleted after a while; what was used or consented to stays.
func TestClientsThatRegisterThemselves(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
		s, ctx := e.open(t, storage.WithClock(func() time.Time { return now })), soon(t)
		register := func(name string) *client.Client {
			t.Helper()
			c := &client.Client{Name: name, RegisteredBy: client.DynamicRegistration, RegistrationTokenHash: "hash of " + name,
				Secrets: []client.Secret{{Hash: []byte(fastHash + name)}}}
			if err := s.Register(ctx, c, 3); err != nil {
				t.Fatal(err)
			}
			return c
		}
		if err := s.Create(ctx, &client.Client{ID: "of_an_admin", Name: "of an admin"}); err != nil {
			t.Fatal(err)
		}
		used, consented, unused := register("used"), register("consented"), register("unused")
		if err := s.Register(ctx, &client.Client{Name: "one more", RegisteredBy: client.DynamicRegistration}, 3); !errors.Is(err, clients.ErrTooManyUnused) {
			t.Errorf("the fourth of three: %v", err)
		}
		found, err := s.Find(ctx, used.ID)
		if err != nil || found.RegisteredBy != client.DynamicRegistration || found.RegistrationTokenHash != "hash of used" {
			t.Errorf("found %+v, %v", found, err)
		}
		s.Used(used.ID)
		if err := errors.Join(s.SecretUsed(ctx, unused.Fosite(), nil), s.FlushUsage(ctx)); err != nil {
			t.Fatal(err)
		}
		if err := s.store.Consents().Remember(ctx, "u1", "ada", consented.ID, "consented", []string{"https://docs.example.com"}, []string{"mcp:search"}); err != nil {
			t.Fatal(err)
		}
		changed := *found
		changed.Name = "renamed"
		if err := s.Reregister(ctx, &changed); err != nil {
			t.Fatal(err)
		}
		now = now.Add(48 * time.Hour)
		if n, err := s.DropUnused(ctx, now.Add(-72*time.Hour)); n != 0 || err != nil {
			t.Errorf("too early: %d, %v", n, err)
		}
		if n, err := s.DropUnused(ctx, now.Add(-24*time.Hour)); n != 1 || err != nil {
			t.Errorf("%d were deleted, %v; want the one that is not used", n, err)
		}
		if _, err := s.Find(ctx, unused.ID); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("the unused one: %v", err)
		}
		for _, id := range []string{used.ID, consented.ID, "of_an_admin"} {
			if _, err := s.Find(ctx, id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := s.Deregister(ctx, used.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.Deregister(ctx, used.ID); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		events, _, err := s.store.Audit().List(ctx, audit.Filter{ClientID: used.ID})
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, event := range events {
			if event.Actor != client.DynamicRegistration {
				t.Errorf("the actor of %s is %s", event.Action, event.Actor)
			}
			actions = append(actions, event.Action)
		}
		if len(actions) != 3 {
			t.Errorf("on record: %v", actions)
		}
	})
}
