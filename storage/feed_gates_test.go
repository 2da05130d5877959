package storage

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// feedGates end tokens, besides those of gateTable, or change what introspection says of them.
var feedGates = []gate{
	{"the client revokes its refresh token", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		_, err := s.RevokeOwnToken(ctx, fosite.RefreshToken, id, id)
		return err
	}, false},
	{"the access tokens of the request are revoked", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		return s.RevokeAccessToken(ctx, r.ID)
	}, false},
	{"the access token is deleted", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.DeleteAccessTokenSession(ctx, id)
	}, false},
	{"the refresh token is rotated", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		return s.RotateRefreshToken(ctx, r.ID, id)
	}, false},
	{"a code is used again", func(ctx context.Context, s *Store, id string, r *fosite.Request) error {
		_, err := s.RevokeReused(ctx, "code.reused", r, id)
		return err
	}, false},
	{"the subject of an issuer is revoked", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.RevokeSubjectOf(ctx, id, "subject of "+id)
	}, false},
	{"the client may have less scope", changing(func(c *client.Client) { c.Scope = []string{"other"} }), false},
	{"the client may use other resources", changing(func(c *client.Client) { c.Audience = []string{"https://other.example"} }), false},
	{"the client has another name", changing(func(c *client.Client) { c.Name = "another" }), false},
	{"the client registers itself anew", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		c, err := s.Clients().Find(ctx, id)
		if err != nil {
			return err
		}
		c.Scope = []string{"other"}
		return s.Clients().Reregister(ctx, c)
	}, false},
	{"the client deregisters itself", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.Clients().Deregister(ctx, id)
	}, false},
	{"the row of the client is deleted", func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		return s.Atomically(ctx, func(ctx context.Context) error {
			_, err := s.db.Run(ctx, `DELETE FROM {client_secrets} WHERE client_id = ?`, id)
			if err == nil {
				_, err = s.db.Run(ctx, `DELETE FROM {clients} WHERE id = ?`, id)
			}
			return err
		})
	}, false},
}

func changing(change func(*client.Client)) func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
	return func(ctx context.Context, s *Store, id string, _ *fosite.Request) error {
		c, err := s.Clients().Find(ctx, id)
		if err != nil {
			return err
		}
		change(c)
		return s.Clients().Update(ctx, c)
	}
}

// Every way to end a token, those of TestGates included.
func TestFeedTellsOfWhateverEndsTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		for i, g := range append(slices.Clone(gateTable), feedGates...) {
			t.Run(g.name, func(t *testing.T) {
				id := fmt.Sprintf("client-%d", i)
				s.addClient(t, id)
				request := s.authenticated(t, id)
				s.issueFor(t, id, request)
				s.issueFor(t, "bystander of "+id, s.authenticated(t, "person"))
				cursor := s.feedCursor(t)
				if err := g.close(t.Context(), s, id, request); err != nil {
					t.Fatal(err)
				}
				all := s.revoked(t, cursor, 1000)
				if !tells(all, id, id, request.RequestedAt) {
					t.Errorf("the feed says %+v, and nothing of the token", all)
				}
				if tells(all, "bystander of "+id, "person", request.RequestedAt) {
					t.Errorf("the feed says %+v, which ends another client's token", all)
				}
				if again := s.revoked(t, cursor, 1000); len(again) > 0 {
					t.Errorf("the feed says once more: %+v", again)
				}
			})
		}
	})
}

// It was under way when the grant ended, and nobody has heard of it yet.
func TestFeedTellsOfATokenThatIsStoredAfterTheEndOfItsGrant(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		request := s.authenticated(t, "machine")
		s.issueFor(t, "token", request)
		if err := s.RevokeGrant(t.Context(), request.ID); err != nil {
			t.Fatal(err)
		}
		cursor := s.feedCursor(t)
		if err := s.CreateAccessTokenSession(t.Context(), "late", request); err != nil {
			t.Fatal(err)
		}
		if all := s.revoked(t, cursor, 10); !tells(all, "late", "", time.Time{}) {
			t.Errorf("the feed says %+v", all)
		}
	})
}

func TestFeedTellsOfTheTokensOfARule(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		for name, end := range map[string]func(ctx context.Context, id string) error{
			"deleted": func(ctx context.Context, id string) error { return s.Issuers().Delete(ctx, id) },
			"revoked": func(ctx context.Context, id string) error { return s.Issuers().Revoke(ctx, id) },
			"disabled": func(ctx context.Context, id string) error {
				_, err := s.Issuers().SetStatus(ctx, id, client.Disabled, 0)
				return err
			},
			"of a subject": func(ctx context.Context, id string) error { return s.RevokeSubjectOf(ctx, id, "subject of machine") },
		} {
			rule := &client.Client{Trust: &client.Trust{Issuer: "https://idp.example"}}
			if err := s.Issuers().Create(t.Context(), rule); err != nil {
				t.Fatal(err)
			}
			request := s.authenticated(t, "machine")
			s.issueFor(t, name, request)
			if _, err := s.db.Run(t.Context(), `UPDATE {grants} SET rule_id = ? WHERE id = ?`, rule.ID, request.ID); err != nil {
				t.Fatal(err)
			}
			cursor := s.feedCursor(t)
			if err := end(t.Context(), rule.ID); err != nil {
				t.Fatal(err)
			}
			if all := s.revoked(t, cursor, 1000); !tells(all, name, "machine", request.RequestedAt) {
				t.Errorf("%s: the feed says %+v", name, all)
			}
		}
	})
}
