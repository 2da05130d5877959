package clients_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"
	"fosite-mcp/storage/internal/enginetest"
)

// working are the ids of the client's secrets that work now, newest first.
func working(t *testing.T, s *fixture, clientID string) []string {
	t.Helper()
	c, err := s.Get(t.Context(), clientID)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, secret := range client.Of(c).Secrets {
		ids = append(ids, secret.ID)
	}
	return ids
}

func addSecret(t *testing.T, s *fixture, id string, endPrevious time.Time, onFirstUse bool) {
	t.Helper()
	secret := &client.Secret{ID: id, Hash: []byte(fastHash + id), EndsOthers: onFirstUse}
	if err := s.AddSecret(t.Context(), "machine", secret, endPrevious); err != nil {
		t.Fatal(err)
	}
}

func TestANewSecretEndsTheOthersWhenItIsToldTo(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.withClients(t, storage.WithClock(clock.now))
		want := func(step string, ids ...string) {
			t.Helper()
			if diff := cmp.Diff(ids, working(t, s, "machine")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		clock.forward(time.Second)
		addSecret(t, s, "second", time.Time{}, false)
		want("beside the first", "second", "secret-of-machine")
		clock.forward(time.Second)
		addSecret(t, s, "third", clock.now().Add(time.Minute), false)
		clock.forward(time.Minute - time.Millisecond)
		want("before the end", "third", "second", "secret-of-machine")
		clock.forward(time.Millisecond)
		want("at the end", "third")
		addSecret(t, s, "fourth", clock.now(), false)
		want("at once", "fourth")
		// An end that is set already is not put off.
		clock.forward(time.Second)
		addSecret(t, s, "fifth", clock.now().Add(time.Second), false)
		addSecret(t, s, "sixth", clock.now().Add(time.Hour), false)
		clock.forward(time.Second)
		want("not put off", "fifth", "sixth")
	})
}

// use authenticates the machine with a secret, as provider does.
func use(ctx context.Context, s *fixture, id string) error {
	c, err := s.Get(ctx, "machine")
	if err != nil {
		return err
	}
	hash := []byte(fastHash + id)
	client.Of(c).AuthenticatedWith(hash)
	return s.SecretUsed(ctx, c, hash)
}

func TestTheFirstUseOfASecretEndsThoseBeforeIt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		clock := newTestClock()
		s := e.withClients(t, storage.WithClock(clock.now))
		clock.forward(time.Second)
		addSecret(t, s, "second", time.Time{}, true)
		clock.forward(time.Second)
		addSecret(t, s, "third", time.Time{}, true)
		if err := use(t.Context(), s, "secret-of-machine"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"third", "second", "secret-of-machine"}, working(t, s, "machine")); diff != "" {
			t.Errorf("the use of an old secret ends none (-want +got):\n%s", diff)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := use(t.Context(), s, "second"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff([]string{"third", "second"}, working(t, s, "machine")); diff != "" {
			t.Errorf("after the first use (-want +got):\n%s", diff)
		}
		if count, firstBad, err := s.store.Audit().Verify(t.Context(), nil); count != 1 || firstBad != 0 || err != nil {
			t.Errorf("%d events, first bad %d, %v; want one", count, firstBad, err)
		}
	})
}

func TestADeletedSecretIsErased(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		if err := s.DeleteSecret(t.Context(), "person", "secret-of-machine", false); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("a secret was deleted through another client: %v", err)
		}
		if err := s.DeleteSecret(t.Context(), "machine", "secret-of-machine", false); err != nil {
			t.Fatal(err)
		}
		var hash string
		if err := s.db.Raw(enginetest.SQL(`SELECT hash FROM {client_secrets} WHERE id = 'secret-of-machine'`)).Scan(&hash).Error; err != nil || hash != "" {
			t.Errorf("hash %q (%v), want none", hash, err)
		}
		if diff := cmp.Diff([]string{}, working(t, s, "machine")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAClientHasABoundedNumberOfSecrets(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for i := range client.MaxSecrets + 5 {
			wg.Go(func() {
				err := s.AddSecret(t.Context(), "machine", &client.Secret{Hash: []byte(fmt.Sprint(i))}, time.Time{})
				if err != nil && !errors.Is(err, clients.ErrTooManySecrets) {
					t.Error(err)
				}
				if err != nil {
					mu.Lock()
					refused++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n := len(working(t, s, "machine")); n != client.MaxSecrets || refused != 6 {
			t.Errorf("%d secrets, %d refused; want %d and 6", n, refused, client.MaxSecrets)
		}
		if err := s.AddSecret(t.Context(), "nobody", &client.Secret{}, time.Time{}); !errors.Is(err, fosite.ErrNotFound) {
			t.Errorf("unknown client: %v", err)
		}
	})
}

func TestSlowHashesAreThoseOfLiveClients(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.withClients(t)
		want := func(step, want string) {
			t.Helper()
			var hashes string
			err := s.EachSlowSecret(t.Context(), func(id string, hash []byte) { hashes += string(hash) })
			if err != nil || hashes != want {
				t.Errorf("%s: %q (%v), want %q", step, hashes, err, want)
			}
		}
		want("generated secrets only", "")
		imported := &client.Client{ID: "imported", Secrets: []client.Secret{{Hash: []byte("$2a$12$abc")}}}
		if err := s.Create(t.Context(), imported); err != nil {
			t.Fatal(err)
		}
		want("one imported", "$2a$12$abc")
		if _, err := s.SetStatus(t.Context(), "imported", client.Disabled, 0); err != nil {
			t.Fatal(err)
		}
		want("disabled", "")
		if _, err := s.SetStatus(t.Context(), "imported", client.Active, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteSecret(t.Context(), "imported", imported.Secrets[0].ID, false); err != nil {
			t.Fatal(err)
		}
		want("deleted", "")
	})
}

func TestAClientWithoutUseForASecretGetsNone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		s := e.open(t)
		for _, method := range []string{"private_key_jwt", "none"} {
			if err := s.Create(soon(t), &client.Client{ID: method, TokenEndpointAuthMethod: method}); err != nil {
				t.Fatal(err)
			}
			for name, err := range map[string]error{
				"AddSecret":      s.AddSecret(soon(t), method, &client.Secret{Hash: []byte(fastHash)}, time.Time{}),
				"ReplaceSecrets": s.ReplaceSecrets(soon(t), method, &client.Secret{Hash: []byte(fastHash)}),
			} {
				if !errors.Is(err, clients.ErrUsesNoSecret) {
					t.Errorf("%s with %s: %v, want ErrUsesNoSecret", name, method, err)
				}
			}
			if c, err := s.Find(soon(t), method); err != nil || len(c.Secrets) != 0 {
				t.Errorf("%+v (%v), want no secret", c, err)
			}
		}
	})
}
