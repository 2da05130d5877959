package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ory/fosite"
)

// remembered checks that GetClient answers what the database holds.
func remembered(t *testing.T, s *Store, id string) {
	t.Helper()
	want, err := s.FindClient(soon(t), id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.GetClient(soon(t), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, own(got), cmpopts.IgnoreUnexported(Client{}), cmpopts.IgnoreFields(Client{}, "LastUsedAt"), cmpopts.IgnoreFields(ClientSecret{}, "Hint", "LastUsedAt"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("GetClient differs from what is stored (-stored +answered):\n%s", diff)
	}
}

// Each change of a registration, field by field, is in force at the next look at the client.
func TestAChangedRegistrationIsInForceAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		remembered(t, s, "machine")
		for i, change := range []func(c *Client){
			func(c *Client) { c.Name = "another name" },
			func(c *Client) { c.Owner = "somebody" },
			func(c *Client) { c.Scope = []string{"mcp:search", "mcp:read"} },
			func(c *Client) { c.Audience = []string{"https://docs.example/mcp"} },
			func(c *Client) { c.Introspects = []string{"https://docs.example/mcp"} },
			func(c *Client) { c.GrantTypes = []string{"authorization_code"} },
			func(c *Client) { c.ResponseTypes = []string{"code"} },
			func(c *Client) { c.RedirectURIs = []string{"https://app.example/callback"} },
			func(c *Client) { c.TokenEndpointAuthMethod = "private_key_jwt" },
			func(c *Client) { c.TokenEndpointAuthSigningAlg = "ES256" },
			func(c *Client) { c.JWKS = &jose.JSONWebKeySet{} },
			func(c *Client) { c.JWKSURI = "https://app.example/keys" },
			func(c *Client) { c.AccessTokenLifespan = time.Minute },
			func(c *Client) { c.Metadata = json.RawMessage(`{"team":"docs"}`) },
			func(c *Client) { c.ExpiresAt = s.now().Add(time.Hour).UTC().Truncate(time.Millisecond) },
		} {
			client, err := s.FindClient(soon(t), "machine")
			if err != nil {
				t.Fatal(err)
			}
			change(client)
			if err := s.UpdateClient(soon(t), client); err != nil {
				t.Fatal(i, err)
			}
			remembered(t, s, "machine")
			remembered(t, s, "machine") // now from memory
		}
		for range 2 {
			if _, err := s.SetClientStatus(soon(t), "machine", StatusDisabled, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.GetClient(soon(t), "machine"); err != fosite.ErrNotFound {
				t.Errorf("a disabled client: %v; want ErrNotFound", err)
			}
			if _, err := s.SetClientStatus(soon(t), "machine", StatusActive, 0); err != nil {
				t.Fatal(err)
			}
			remembered(t, s, "machine")
		}
	})
}

// A change that is rolled back leaves no trace, even where the next one comes in the same millisecond.
func TestARegistrationThatWasRolledBackIsForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t, WithClock(newTestClock().now))
		rename := func(ctx context.Context, name string) {
			client, err := s.FindClient(ctx, "machine")
			if err == nil {
				client.Name = name
				err = s.UpdateClient(ctx, client)
			}
			if err != nil {
				t.Fatal(err)
			}
			seen, err := s.GetClient(ctx, "machine")
			if err != nil || own(seen).Name != name {
				t.Errorf("the client is %+v, %v; want the name %q", seen, err, name)
			}
		}
		ctx, err := s.BeginTX(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		rename(ctx, "never")
		if err := s.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
		rename(soon(t), "now")
	})
}

// Whether a client may act is never remembered, however it was changed.
func TestWhetherAClientMayActIsReadEachTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for column, value := range map[string]any{"status": "disabled", "expires_at": 1, "epoch": 7, "revoked_before": int64(1) << 52} {
			t.Run(column, func(t *testing.T) {
				s := e.storeWithClients(t)
				s.issue(t, "token", s.authenticated(t, "machine"))
				wantAlive(t, s, "token", true)
				// By hand: not even the version says that something has changed.
				if _, err := s.db.Run(soon(t), "UPDATE {clients} SET "+column+" = ? WHERE id = 'machine'", value); err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s, "token", false)
			})
		}
	})
}

// What one caller does to its client is its own affair.
func TestClientsShareNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		for range 2 {
			client, err := s.GetClient(soon(t), "machine")
			if err != nil {
				t.Fatal(err)
			}
			if scope := client.GetScopes(); len(scope) != 1 || scope[0] != "mcp:search" {
				t.Errorf("scope %q; want mcp:search", scope)
			}
			client.GetScopes()[0] = "everything"
		}
	})
}

func TestRegistrationsAreBounded(t *testing.T) {
	var r registrations
	for i := range registrationsLimit + 10 {
		state := clientState{id: nullString(strconv.Itoa(i))}
		r.put(state, registration{name: "name of " + state.id.String})
		if known := r.get(&state); known == nil || known.name != "name of "+state.id.String {
			t.Fatalf("client %d was not remembered", i)
		}
	}
	if n := len(r.byID); n != registrationsLimit {
		t.Errorf("%d clients are remembered; want %d", n, registrationsLimit)
	}
	large := clientState{id: nullString("large")}
	if r.put(large, registration{metadata: strings.Repeat("x", registrationLimit)}); r.get(&large) != nil {
		t.Error("a registration of any size is remembered")
	}
}

// One that is too large to be remembered is read together with the state, and so is that of an unknown client: whoever
// measures the time learns nothing.
func TestALargeRegistrationIsReadEachTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.store(t)
		metadata := json.RawMessage(`{"note":"` + strings.Repeat("x", registrationLimit) + `"}`)
		if err := s.CreateClient(soon(t), &Client{ID: "large", Metadata: metadata}); err != nil {
			t.Fatal(err)
		}
		remembered(t, s, "large")
		remembered(t, s, "large")
		if s.registrations.known("large") {
			t.Error("it is remembered")
		}
	})
}

// A secret is deleted, then everything of the client revoked, and both while a request that has read the secret is about
// to learn what else there is to know of its client: it must not get hold of the epoch that comes after the revocation.
func TestAClientKeepsTheStateThatItsSecretsWereReadWith(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		var before clientRow
		if err := s.db.Read(soon(t)).QueryRow(`SELECT ` + clientColumns + ` FROM {clients} WHERE id = 'machine'`).Scan(before.targets()...); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteSecret(soon(t), "machine", "secret-of-machine", false); err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeClient(soon(t), "machine"); err != nil {
			t.Fatal(err)
		}
		client, err := s.client(soon(t), &before.clientState)
		if err != nil || client.Epoch != before.epoch.Int64 {
			t.Errorf("the client is in epoch %d, %v; want %d, that of its secrets", client.Epoch, err, before.epoch.Int64)
		}
		after, err := s.GetClient(soon(t), "machine")
		if err != nil || own(after).Epoch != before.epoch.Int64+1 || len(own(after).Secrets) != 0 {
			t.Errorf("afterwards the client is %+v, %v; want the next epoch and no secret", after, err)
		}
	})
}

// Mended by hand, a row that could not be decoded is as good as any.
func TestWhatCannotBeDecodedIsNotRemembered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		for _, jwks := range []string{"{", ""} {
			if _, err := s.db.Run(soon(t), `UPDATE {clients} SET jwks = ? WHERE id = 'machine'`, jwks); err != nil {
				t.Fatal(err)
			}
			_, err := s.GetClient(soon(t), "machine")
			if broken := jwks != ""; (err != nil) != broken || errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("with jwks %q: %v", jwks, err)
			}
		}
	})
}

func TestADeletedClientIsForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		remembered(t, s, "machine")
		if err := s.DeleteClient(soon(t), "machine"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GetClient(soon(t), "machine"); err != fosite.ErrNotFound {
			t.Errorf("a deleted client: %v; want ErrNotFound", err)
		}
		if s.registrations.known("machine") {
			t.Error("its particulars are still in memory")
		}
	})
}

// Many read while one changes: whoever starts to read after a change was acknowledged sees it.
func TestReadersNeverFallBehindAnAcknowledgedChange(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		ctx := soon(t)
		var acknowledged atomic.Int64
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					least := acknowledged.Load()
					client, err := s.GetClient(ctx, "machine")
					if err != nil {
						t.Error(err)
						return
					}
					if seen, _ := strconv.ParseInt(own(client).Name, 10, 64); seen < least {
						t.Errorf("saw change %d after change %d was acknowledged", seen, least)
						return
					}
				}
			})
		}
		for i := 1; i <= 100; i++ {
			client, err := s.FindClient(ctx, "machine")
			if err == nil {
				client.Name = fmt.Sprint(i)
				err = s.UpdateClient(ctx, client)
			}
			if err != nil {
				t.Error(err)
				break
			}
			acknowledged.Store(int64(i))
		}
		close(done)
		readers.Wait()
	})
}
