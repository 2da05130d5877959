package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/enginetest"
)

// remembered checks that GetClient answers what the database holds.
func remembered(t *testing.T, s *fixture, id string) {
	t.Helper()
	want, err := s.Find(soon(t), id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(soon(t), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, client.Of(got), cmpopts.IgnoreUnexported(client.Client{}), cmpopts.IgnoreFields(client.Client{}, "LastUsedAt"), cmpopts.IgnoreFields(client.Secret{}, "Hint", "LastUsedAt"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("GetClient differs from what is stored (-stored +answered):\n%s", diff)
	}
}

// Each change of a registration, field by field, is in force at the next look at the client.
func TestAChangedRegistrationIsInForceAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		remembered(t, s, "machine")
		for i, change := range []func(c *client.Client){
			func(c *client.Client) { c.Name = "another name" },
			func(c *client.Client) { c.Owner = "somebody" },
			func(c *client.Client) { c.Scope = []string{"mcp:search", "mcp:read"} },
			func(c *client.Client) { c.Audience = []string{"https://docs.example/mcp"} },
			func(c *client.Client) { c.Introspects = []string{"https://docs.example/mcp"} },
			func(c *client.Client) { c.GrantTypes = []string{"authorization_code"} },
			func(c *client.Client) { c.ResponseTypes = []string{"code"} },
			func(c *client.Client) { c.RedirectURIs = []string{"https://app.example/callback"} },
			func(c *client.Client) { c.TokenEndpointAuthMethod = "private_key_jwt" },
			func(c *client.Client) { c.TokenEndpointAuthSigningAlg = "ES256" },
			func(c *client.Client) { c.JWKS = &jose.JSONWebKeySet{} },
			func(c *client.Client) { c.JWKSURI = "https://app.example/keys" },
			func(c *client.Client) { c.AssertionIssuer = "https://ci.example" },
			func(c *client.Client) { c.AssertionSubject = "job" },
			func(c *client.Client) { c.AssertionReusable = true },
			func(c *client.Client) { c.AccessTokenLifespan = time.Minute },
			func(c *client.Client) { c.Metadata = json.RawMessage(`{"team":"docs"}`) },
			func(c *client.Client) { c.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond) },
		} {
			registered, err := s.Find(soon(t), "machine")
			if err != nil {
				t.Fatal(err)
			}
			change(registered)
			if err := s.Update(soon(t), registered); err != nil {
				t.Fatal(i, err)
			}
			remembered(t, s, "machine")
			remembered(t, s, "machine") // now from memory
		}
		for range 2 {
			if _, err := s.SetStatus(soon(t), "machine", client.Disabled, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(soon(t), "machine"); !errors.Is(err, fosite.ErrNotFound) || !errors.Is(err, client.ErrDisabled) {
				t.Errorf("a disabled client: %v; want ErrDisabled, which is ErrNotFound", err)
			}
			if _, err := s.SetStatus(soon(t), "machine", client.Active, 0); err != nil {
				t.Fatal(err)
			}
			remembered(t, s, "machine")
		}
	})
}

// A change that is rolled back leaves no trace, even where the next one comes in the same millisecond.
func TestARegistrationThatWasRolledBackIsForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t, storage.WithClock(newTestClock().now))
		rename := func(ctx context.Context, name string) {
			c, err := s.Find(ctx, "machine")
			if err == nil {
				c.Name = name
				err = s.Update(ctx, c)
			}
			if err != nil {
				t.Fatal(err)
			}
			seen, err := s.Get(ctx, "machine")
			if err != nil || client.Of(seen).Name != name {
				t.Errorf("the client is %+v, %v; want the name %q", seen, err, name)
			}
		}
		ctx, err := s.store.BeginTX(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		rename(ctx, "never")
		if err := s.store.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
		rename(soon(t), "now")
	})
}

// Requests of a client share its lists. Whoever appends to one has a copy.
func TestAppendingToAListOfAClientChangesNoOther(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		c, err := s.Find(soon(t), "machine")
		if err != nil {
			t.Fatal(err)
		}
		c.Audience = []string{"these are", "stored as JSON,", "because of", "their spaces:", "decoding", "one leaves", "room"}
		if err := s.Update(soon(t), c); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, err := s.Get(soon(t), "machine")
			if err != nil {
				t.Fatal(err)
			}
			lists := reflect.ValueOf(client.Of(c)).Elem()
			for i := range lists.NumField() {
				if list := lists.Field(i); list.Kind() == reflect.Slice && lists.Type().Field(i).Name != "Secrets" && list.Cap() > list.Len() {
					t.Errorf("%s has room for more", lists.Type().Field(i).Name)
				}
			}
		}
	})
}

// One that is too large to be remembered is read together with the state, and so is that of an unknown client: whoever
// measures the time learns nothing.
func TestALargeRegistrationIsReadEachTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.open(t)
		metadata := json.RawMessage(`{"note":"` + strings.Repeat("x", clients.RegistrationLimit) + `"}`)
		if err := s.Create(soon(t), &client.Client{ID: "large", Metadata: metadata}); err != nil {
			t.Fatal(err)
		}
		remembered(t, s, "large")
		remembered(t, s, "large")
		if s.Remembers("large") {
			t.Error("it is remembered")
		}
	})
}

// A secret is deleted, then everything of the client revoked, and both while a request that has read the secret is about
// to learn what else there is to know of its client: it must not get hold of the epoch that comes after the revocation.
func TestAClientKeepsTheStateThatItsSecretsWereReadWith(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		var before clients.State
		rows, err := s.db.Raw(enginetest.SQL(`SELECT ` + clients.StateColumns("c") + ` FROM {clients} c WHERE id = 'machine'`)).Rows()
		if err != nil || !rows.Next() {
			t.Fatal("the client is gone", err)
		}
		if err := errors.Join(rows.Scan(before.Targets()...), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteSecret(soon(t), "machine", "secret-of-machine", false); err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(soon(t), "machine"); err != nil {
			t.Fatal(err)
		}
		c, err := s.Complete(soon(t), "machine", &before)
		if err != nil || client.Of(c).Epoch != before.Epoch.Int64 {
			t.Errorf("the client is %+v, %v; want epoch %d, that of its secrets", c, err, before.Epoch.Int64)
		}
		after, err := s.Get(soon(t), "machine")
		if err != nil || client.Of(after).Epoch != before.Epoch.Int64+1 || len(client.Of(after).Secrets) != 0 {
			t.Errorf("afterwards the client is %+v, %v; want the next epoch and no secret", after, err)
		}
	})
}

// Mended by hand, a row that could not be decoded is as good as any.
func TestWhatCannotBeDecodedIsNotRemembered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		for _, jwks := range []string{"{", ""} {
			if err := s.db.Exec(enginetest.SQL(`UPDATE {clients} SET jwks = ? WHERE id = 'machine'`), jwks).Error; err != nil {
				t.Fatal(err)
			}
			_, err := s.Get(soon(t), "machine")
			if broken := jwks != ""; (err != nil) != broken || errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("with jwks %q: %v", jwks, err)
			}
		}
	})
}

func TestADeletedClientIsForgotten(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		remembered(t, s, "machine")
		if err := s.Delete(soon(t), "machine"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(soon(t), "machine"); err != fosite.ErrNotFound {
			t.Errorf("a deleted client: %v; want ErrNotFound", err)
		}
		if s.Remembers("machine") {
			t.Error("its particulars are still in memory")
		}
	})
}

// Many read while one changes: whoever starts to read after a change was acknowledged sees it.
func TestReadersNeverFallBehindAnAcknowledgedChange(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
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
					c, err := s.Get(ctx, "machine")
					if err != nil {
						t.Error(err)
						return
					}
					if seen, _ := strconv.ParseInt(client.Of(c).Name, 10, 64); seen < least {
						t.Errorf("saw change %d after change %d was acknowledged", seen, least)
						return
					}
				}
			})
		}
		for i := 1; i <= 100; i++ {
			c, err := s.Find(ctx, "machine")
			if err == nil {
				c.Name = fmt.Sprint(i)
				err = s.Update(ctx, c)
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
