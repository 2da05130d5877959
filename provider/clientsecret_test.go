package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

// sleepyHasher takes a tenth of a second of a test's own time.
type sleepyHasher struct{}

const sleepyCost = 100 * time.Millisecond

func (sleepyHasher) Hash(context.Context, []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

func (sleepyHasher) Compare(_ context.Context, hash, secret []byte) error {
	time.Sleep(sleepyCost)
	if string(hash) != string(sleepyHash(string(secret))) {
		return errMismatch
	}
	return nil
}

func sleepyHash(secret string) []byte { return []byte("$2a$" + secret) }

// quickHash is one that takes little of the real time, and none of the test's.
const quickHash = "$pbkdf2-sha256$i=1,l=32$c2FsdHNhbHQ$" + pbkdf2SHA256

// storeWithImports is a store that holds hashes which take long to compare.
type storeWithImports struct {
	*storage.MemoryStore
	hashes map[string][]string
}

func (s *storeWithImports) EachSlowSecret(_ context.Context, each func(string, []byte)) error {
	for id, hashes := range s.hashes {
		for _, hash := range hashes {
			each(id, []byte(hash))
		}
	}
	return nil
}

// newSlowClients is an authenticator on clients with slow hashes, of which it compares one at a time.
func newSlowClients(ids ...string) (*ClientAuthenticator, *SecretHasher) {
	store := &storeWithImports{MemoryStore: storage.NewMemoryStore(), hashes: map[string][]string{"imported": {quickHash}}}
	for _, id := range ids {
		store.Clients[id] = &fosite.DefaultClient{ID: id, Secret: sleepyHash("secret of " + id)}
	}
	hasher := newSecretHasher(1)
	hasher.foreign = sleepyHasher{}
	return &ClientAuthenticator{Store: store, Hasher: hasher}, hasher
}

func authenticate(ctx context.Context, a *ClientAuthenticator, id, secret string) error {
	form := url.Values{"client_id": {id}, "client_secret": {secret}}
	_, err := a.Authenticate(ctx, httptest.NewRequest(http.MethodPost, "/token", nil), form)
	return err
}

// Whoever floods the server with invented ids, or with wrong secrets of one client, keeps no other client out, not even
// one that it has not seen before.
func TestAFloodOfWrongSecretsKeepsNoClientOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newSlowClients("flooded", "other")
		over, stop := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 200 {
			id := "flooded"
			if i%2 == 0 {
				id = fmt.Sprint("invented", i)
			}
			flood.Go(func() {
				for over.Err() == nil {
					err := authenticate(t.Context(), a, id, "wrong")
					if !errors.Is(err, fosite.ErrInvalidClient) && !errors.Is(err, fosite.ErrTemporarilyUnavailable) {
						t.Errorf("the flood: %v", err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(10 * time.Second)
		for _, most := range []time.Duration{5 * sleepyCost, 0} { // it waits for a turn of each other door, and once only
			start := time.Now()
			if err := authenticate(t.Context(), a, "other", "secret of other"); err != nil {
				t.Errorf("the other client: %v", err)
			}
			if took := time.Since(start); took > most {
				t.Errorf("the other client waits for %v, want %v at most", took, most)
			}
		}
		stop()
		flood.Wait()
		time.Sleep(2 * patience)
	})
}

// The queue tells nothing: who is no client, and who is one and does not know the secret, get the same answer
// after the same time. Whoever knows it is let in at the next try, and waits for nobody.
func TestOfABusyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, hasher := newSlowClients("imported", "wrong")
		release := occupy(t, hasher.people)
		for _, id := range []string{"wrong", "unknown", "imported"} {
			secret := "secret of " + id
			if id == "wrong" {
				secret = "guess"
			}
			start := time.Now()
			err := authenticate(t.Context(), a, id, secret)
			if !errors.Is(err, fosite.ErrTemporarilyUnavailable) || errors.Is(err, fosite.ErrInvalidClient) {
				t.Errorf("%s: %v, want temporarily_unavailable", id, err)
			}
			if waited := time.Since(start); waited < claimPatience/2 || waited > claimPatience {
				t.Errorf("%s: waited for %v, want up to %v, and half of it at least", id, waited, claimPatience)
			}
		}
		release()
		time.Sleep(time.Second)
		defer occupy(t, hasher.people)()
		if err := authenticate(t.Context(), a, "imported", "secret of imported"); err != nil {
			t.Errorf("the second try: %v", err)
		}
		time.Sleep(patience) // what is left of it goes
	})
}

// busyHasher is a hasher of somebody else that has too much to do.
type busyHasher struct{ fosite.Hasher }

func (busyHasher) Compare(context.Context, []byte, []byte) error { return ErrTooBusy }

func TestBusyIsNoWrongSecret(t *testing.T) {
	a, _ := newSlowClients("imported")
	a.Hasher = busyHasher{}
	if err := authenticate(t.Context(), a, "imported", "secret of imported"); !errors.Is(err, fosite.ErrTemporarilyUnavailable) {
		t.Errorf("got %v, want temporarily_unavailable", err)
	}
}
