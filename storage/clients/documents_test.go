package clients_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"

	"github.com/ory/fosite"
)

const documentURL = "https://app.example.com/client.json"

func documented(name string) *client.Client {
	return &client.Client{
		ID: documentURL, Name: name, RegisteredBy: client.MetadataDocument, Status: client.Active, TokenEndpointAuthMethod: "none",
		GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, RedirectURIs: []string{"https://app.example.com/callback"},
	}
}

// The client of a metadata document is stored as what it is, follows its document, and keeps what an administrator has decided.
func TestDocumentedClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s, ctx := e.open(t), soon(t)
		if _, err := s.Documented(ctx, documentURL); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("nobody has stored it: %v", err)
		}
		for _, name := range []string{"first", "first", "renamed"} {
			if err := s.KeepDocumented(ctx, documented(name)); err != nil {
				t.Fatal(err)
			}
		}
		found, err := s.Find(ctx, documentURL)
		if err != nil || found.Name != "renamed" || found.RegisteredBy != client.MetadataDocument || found.Version != 2 {
			t.Fatalf("found %+v, %v", found, err)
		}
		found.Owner, found.AccessTokenLifespan = "search team", time.Hour
		if err := s.Update(ctx, found); err != nil {
			t.Fatal(err)
		}
		if err := s.KeepDocumented(ctx, documented("renamed again")); err != nil {
			t.Fatal(err)
		}
		if c, err := s.Find(ctx, documentURL); err != nil || c.Name != "renamed again" || c.Owner != "search team" || c.AccessTokenLifespan != time.Hour {
			t.Errorf("after an administrator's change: %+v, %v", c, err)
		}
		if c, err := s.Get(ctx, documentURL); err != nil || client.Of(c).DocumentHost() != "app.example.com" {
			t.Errorf("as fosite sees it: %+v, %v", c, err)
		}
		if _, err := s.SetStatus(ctx, documentURL, client.Disabled, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.KeepDocumented(ctx, documented("disabled")); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("a disabled one: %v", err)
		}
		if err := s.Delete(ctx, documentURL); err != nil {
			t.Fatal(err)
		}
		if err := s.KeepDocumented(ctx, documented("deleted")); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("a deleted one: %v", err)
		}
		if c, err := s.Documented(ctx, documentURL); err != nil || c.Status != client.Deleted {
			t.Errorf("a deleted one is known as such: %+v, %v", c, err)
		}
		var actions []string
		events, _, err := s.store.Audit().List(ctx, audit.Filter{ClientID: documentURL})
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			actions = append(actions, event.Actor+" "+event.Action)
		}
		if got, want := fmt.Sprint(actions), "[metadata_document client.registered metadata_document client.changed metadata_document client.changed]"; got != want {
			t.Errorf("on record: %s, want %s", got, want)
		}
	})
}

// What an administrator has shut out stays, though it was never used.
func TestADisabledDocumentedClientIsNotDropped(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s, ctx := e.open(t), soon(t)
		if err := s.KeepDocumented(ctx, documented("unwanted")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SetStatus(ctx, documentURL, client.Disabled, 0); err != nil {
			t.Fatal(err)
		}
		if n, err := s.DropUnused(ctx, time.Now().Add(time.Hour)); n != 0 || err != nil {
			t.Errorf("%d were deleted, %v", n, err)
		}
		if err := s.KeepDocumented(ctx, documented("unwanted")); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("it came back: %v", err)
		}
	})
}

// Of many people who are the first to consent, none fails.
func TestDocumentedClientsAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s, ctx := e.open(t), soon(t)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := s.KeepDocumented(context.WithoutCancel(ctx), documented("the same")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if c, err := s.Find(ctx, documentURL); err != nil || c.Version != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
