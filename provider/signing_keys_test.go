package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
)

// keyStore is a SigningKeyStore in memory.
type keyStore struct {
	mu       sync.Mutex
	keys     []byte
	revision int64
	end      time.Time
	err      error
	reads    int
}

func (s *keyStore) KeySet(context.Context) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.keys, s.revision, s.err
}

func (s *keyStore) ReplaceKeySet(_ context.Context, revision int64, keys []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || revision != s.revision {
		return false, s.err
	}
	s.keys, s.revision = keys, revision+1
	return true, nil
}

func (s *keyStore) LastTokenEnd(context.Context) (time.Time, error) { return s.end, s.err }

// keyRing is the keys of one replica, by a clock that stands still.
type keyRing struct {
	*SigningKeys
	store   *keyStore
	clock   time.Time
	actions []string
}

func newKeyRing(t *testing.T, store *keyStore, o SigningKeyOptions) *keyRing {
	t.Helper()
	ring := &keyRing{store: store, clock: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}
	if o.SystemSecret == nil {
		o.SystemSecret = []byte(secretA)
	}
	o.Now = func() time.Time { return ring.clock }
	o.Record = func(_ context.Context, action string, key SigningKey) error {
		ring.actions = append(ring.actions, action)
		return nil
	}
	keys, err := NewSigningKeys(store, o)
	if err != nil {
		t.Fatal(err)
	}
	ring.SigningKeys = keys
	return ring
}

// must lists the keys by id, in the order of states.
func (r *keyRing) must(t *testing.T, states ...KeyState) map[KeyState]SigningKey {
	t.Helper()
	list, err := ListSigningKeys(t.Context(), r.store)
	if err != nil {
		t.Fatal(err)
	}
	var got []KeyState
	byState := map[KeyState]SigningKey{}
	for _, key := range list {
		got, byState[key.State] = append(got, key.State), key
	}
	if !slices.Equal(got, states) {
		t.Fatalf("keys in the states %v, want %v", got, states)
	}
	return byState
}

func ensure(t *testing.T, ring *keyRing) {
	t.Helper()
	if err := ring.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyIsPublishedBeforeItSigns(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	first := ring.must(t, KeyNext, KeyCurrent)

	var early *NextKeyTooYoungError
	ring.clock = ring.clock.Add(KeyLead - time.Second)
	if _, err := ring.Rotate(t.Context()); !errors.As(err, &early) || !early.MaySign.Equal(ring.clock.Add(time.Second)) {
		t.Fatalf("an early rotation: %v", err)
	}
	ring.must(t, KeyNext, KeyCurrent)
	ring.clock = early.MaySign
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	then := ring.must(t, KeyNext, KeyCurrent, KeyRetired)
	if then[KeyCurrent].ID != first[KeyNext].ID || then[KeyRetired].ID != first[KeyCurrent].ID || then[KeyNext].ID == first[KeyNext].ID {
		t.Errorf("before: %+v; after: %+v", first, then)
	}
	if want := []string{KeyCreated, KeyCreated, KeyRotated}; !slices.Equal(ring.actions, want) {
		t.Errorf("recorded %q, want %q", ring.actions, want)
	}
}

func TestKeysRotateByThemselvesAfterTheirLifespan(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{Lifespan: time.Hour})
	ensure(t, ring)
	before := ring.must(t, KeyNext, KeyCurrent)
	for _, step := range []time.Duration{0, 59 * time.Minute} {
		ring.clock = ring.clock.Add(step)
		if err := ring.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		ring.must(t, KeyNext, KeyCurrent)
	}
	ring.clock = ring.clock.Add(time.Minute)
	if err := ring.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := ring.must(t, KeyNext, KeyCurrent, KeyRetired); after[KeyCurrent].ID != before[KeyNext].ID {
		t.Errorf("the next key does not sign: %+v", after)
	}
}

func TestARetiredKeyStaysUntilItsLastTokenHasEnded(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	ring.clock = ring.clock.Add(KeyLead)
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	maintain := func() {
		t.Helper()
		if err := ring.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	retired := ring.must(t, KeyNext, KeyCurrent, KeyRetired)[KeyRetired]
	ring.store.end = ring.clock.Add(time.Hour)
	maintain()
	if got := ring.must(t, KeyNext, KeyCurrent, KeyRetired)[KeyRetired]; !got.EndsAt.IsZero() {
		t.Errorf("a replica may sign with it still, and its last token ends at %s", got.EndsAt)
	}
	ring.clock = retired.RetiredAt.Add(lastSigned + time.Second)
	ring.store.end = ring.clock.Add(24 * time.Hour) // of a token that such a replica has issued
	maintain()
	if got := ring.must(t, KeyNext, KeyCurrent, KeyRetired)[KeyRetired]; !got.EndsAt.Equal(ring.store.end) {
		t.Errorf("the last token ends at %s, want %s", got.EndsAt, ring.store.end)
	}
	ring.clock = ring.store.end.Add(keySkew)
	maintain()
	ring.must(t, KeyNext, KeyCurrent, KeyRetired)
	ring.clock = ring.clock.Add(time.Second)
	maintain()
	ring.must(t, KeyNext, KeyCurrent)
	if last := ring.actions[len(ring.actions)-1]; last != KeyRemoved {
		t.Errorf("recorded %q, want %q", last, KeyRemoved)
	}
}

func TestALeakedKeyIsGoneAtOnce(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	before := ring.must(t, KeyNext, KeyCurrent)
	for _, id := range []string{"", before[KeyNext].ID} { // the current one, and what is the current one by then
		gone, err := ring.Discard(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		after := ring.must(t, KeyNext, KeyCurrent)
		if gone.ID == after[KeyCurrent].ID || gone.ID == after[KeyNext].ID {
			t.Errorf("%s is there still: %+v", gone.ID, after)
		}
	}
	now := ring.must(t, KeyNext, KeyCurrent)
	if _, err := ring.Discard(t.Context(), now[KeyNext].ID); err != nil {
		t.Fatal(err)
	}
	if then := ring.must(t, KeyNext, KeyCurrent); then[KeyNext].ID == now[KeyNext].ID || then[KeyCurrent].ID != now[KeyCurrent].ID {
		t.Errorf("a next key that has leaked: before %+v, after %+v", now, then)
	}
	ring.clock = ring.clock.Add(KeyLead)
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Discard(t.Context(), now[KeyCurrent].ID); err != nil {
		t.Fatal(err)
	}
	ring.must(t, KeyNext, KeyCurrent)
	if _, err := ring.Discard(t.Context(), "nobody"); !errors.Is(err, fosite.ErrNotFound) {
		t.Errorf("a key that there is not: %v", err)
	}
}

// A token that is signed with a key which was taken away dies as soon as this is known: its client would have to come again.
func TestAReplicaStopsSigningWithALeakedKeyWithinASecond(t *testing.T) {
	store := &keyStore{}
	ring, other := newKeyRing(t, store, SigningKeyOptions{}), newKeyRing(t, store, SigningKeyOptions{})
	ensure(t, ring)
	ensure(t, other)
	leaked := ring.must(t, KeyNext, KeyCurrent)[KeyCurrent].ID
	if _, err := other.Discard(t.Context(), leaked); err != nil {
		t.Fatal(err)
	}
	reads := store.reads
	for _, c := range []struct {
		after  time.Duration
		leaked bool
		reads  int
	}{{0, true, 0}, {staleSigner - 1, true, 0}, {1, false, 1}, {0, false, 1}, {staleSigner - 1, false, 1}} {
		ring.clock = ring.clock.Add(c.after)
		key, err := ring.signer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if (key.id == leaked) != c.leaked || store.reads != reads+c.reads {
			t.Errorf("%v later: signs with the leaked key: %v, after %d reads; want %v, %d", c.after, key.id == leaked, store.reads-reads, c.leaked, c.reads)
		}
	}
}

func TestReplicasMakeOneSetOfKeys(t *testing.T) {
	store := &keyStore{}
	var wait sync.WaitGroup
	rings := make([]*keyRing, 8)
	for i := range rings {
		rings[i] = newKeyRing(t, store, SigningKeyOptions{})
		wait.Go(func() {
			if err := rings[i].Ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	want := rings[0].must(t, KeyNext, KeyCurrent)
	for _, ring := range rings {
		if got := ring.must(t, KeyNext, KeyCurrent); got[KeyCurrent].ID != want[KeyCurrent].ID || got[KeyNext].ID != want[KeyNext].ID {
			t.Errorf("keys %+v, want %+v", got, want)
		}
	}
}

func TestAnotherAlgorithmSignsOnceVerifiersKnowItsKey(t *testing.T) {
	store := &keyStore{}
	ensure(t, newKeyRing(t, store, SigningKeyOptions{}))
	ring := newKeyRing(t, store, SigningKeyOptions{Algorithm: EdDSA})
	ensure(t, ring)
	old := newKeyRing(t, store, SigningKeyOptions{}) // a replica that has not been told yet
	for _, step := range []time.Duration{0, KeyLead - time.Second} {
		for _, r := range []*keyRing{ring, old} {
			r.clock = r.clock.Add(step)
			if err := r.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if keys := ring.must(t, KeyNext, KeyCurrent); keys[KeyCurrent].Algorithm != ES256 || keys[KeyNext].Algorithm != EdDSA {
			t.Fatalf("keys %+v", keys)
		}
	}
	old.clock = old.clock.Add(time.Second)
	if err := old.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys := ring.must(t, KeyNext, KeyCurrent, KeyRetired); keys[KeyCurrent].Algorithm != EdDSA || keys[KeyNext].Algorithm != EdDSA {
		t.Errorf("keys %+v", keys)
	}
}

// Private halves are sealed under the system secret. They follow it to another one, and one that no secret opens is an outage.
func TestSealedKeysFollowTheSystemSecret(t *testing.T) {
	store := &keyStore{}
	ring := newKeyRing(t, store, SigningKeyOptions{})
	ensure(t, ring)
	keys := ring.must(t, KeyNext, KeyCurrent)

	lost := newKeyRing(t, store, SigningKeyOptions{SystemSecret: []byte(secretB)})
	revision := store.revision
	if err := lost.Ensure(t.Context()); !errors.Is(err, errMissingKeySecret) {
		t.Errorf("a secret that opens nothing: %v", err)
	}
	if store.revision != revision {
		t.Error("keys were replaced because they could not be opened")
	}
	lost.clock = lost.clock.Add(KeyLead)
	if _, err := lost.Rotate(t.Context()); !errors.Is(err, errMissingKeySecret) {
		t.Errorf("a rotation to a key that cannot be opened: %v", err)
	}

	for name, load := range map[string]func(*keyRing) error{
		"Ensure": func(r *keyRing) error { return r.Ensure(t.Context()) }, "Load": func(r *keyRing) error { return r.Load(t.Context()) },
	} {
		store := &keyStore{keys: store.keys, revision: store.revision}
		both := newKeyRing(t, store, SigningKeyOptions{SystemSecret: []byte(secretB), PreviousSystemSecrets: [][]byte{[]byte(secretA)}})
		if err := load(both); err != nil {
			t.Fatal(name, err)
		}
		after := newKeyRing(t, store, SigningKeyOptions{SystemSecret: []byte(secretB)})
		ensure(t, after)
		if got := after.must(t, KeyNext, KeyCurrent); got[KeyCurrent].ID != keys[KeyCurrent].ID || got[KeyNext].ID != keys[KeyNext].ID {
			t.Errorf("%s: other keys: %+v", name, got)
		}
	}

	if _, err := lost.Discard(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	ensure(t, lost)
}

func TestWhatIsStoredOfAKeyIsSealed(t *testing.T) {
	store := &keyStore{}
	ring := newKeyRing(t, store, SigningKeyOptions{Algorithm: RS256})
	ensure(t, ring)
	for _, private := range []string{"PRIVATE KEY", secretA} {
		if bytes.Contains(store.keys, []byte(private)) {
			t.Errorf("%s is in what is stored", private)
		}
	}
	var stored []storedKey
	if err := json.Unmarshal(store.keys, &stored); err != nil {
		t.Fatal(err)
	}
	stored[0].Private, stored[1].Private = stored[1].Private, stored[0].Private
	for i := range stored {
		if private, _ := stored[i].open(ring.seals); private != nil {
			t.Error("the private half of one key opens as that of another")
		}
	}
	set, err := ring.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var public jose.JSONWebKeySet
	if err := json.Unmarshal(set, &public); err != nil || len(public.Keys) != 2 {
		t.Fatal(string(set), err)
	}
	for _, key := range public.Keys {
		if !key.IsPublic() || key.Use != "sig" || key.Algorithm != RS256 || key.KeyID == "" {
			t.Errorf("in the JWKS: %+v", key)
		}
	}
}

func TestKeysOfOtherReplicasAreReadEveryNowAndThen(t *testing.T) {
	store := &keyStore{}
	here, there := newKeyRing(t, store, SigningKeyOptions{}), newKeyRing(t, store, SigningKeyOptions{})
	ensure(t, here)
	ensure(t, there)
	if _, err := there.Discard(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	now := there.must(t, KeyNext, KeyCurrent)
	if key, err := here.signer(t.Context()); err != nil || key.id == now[KeyCurrent].ID {
		t.Fatal("the test needs a replica that has not heard of it", err)
	}
	here.clock = here.clock.Add(staleKeys)
	if key, err := here.signer(t.Context()); err != nil || key.id != now[KeyCurrent].ID {
		t.Errorf("a minute later it signs with %v, %v", key, err)
	}

	unknown := "eyJhbGciOiJFUzI1NiJ9"
	here.store.reads = 0
	for range 100 {
		if key, err := here.find(t.Context(), unknown); key != nil || err != nil {
			t.Fatal(key, err)
		}
	}
	if here.store.reads != 1 {
		t.Errorf("%d reads for 100 tokens with an unknown key, want one", here.store.reads)
	}
	here.store.err = errors.New("the database is gone")
	here.clock = here.clock.Add(unknownKeys)
	for range 2 {
		if _, err := here.find(t.Context(), unknown); err == nil {
			t.Error("an outage is no unknown key")
		}
	}
}

// Verifiers go on while the database is gone; nothing is signed then.
func TestTheJWKSOutlivesAnOutageOfTheStore(t *testing.T) {
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	ensure(t, ring)
	before, err := ring.PublicKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ring.store.err = errors.New("the database is gone")
	ring.clock = ring.clock.Add(outageKeys - time.Second)
	if got, err := ring.PublicKeys(t.Context()); !bytes.Equal(got, before) || err != nil {
		t.Errorf("in an outage: %s, %v", got, err)
	}
	if _, err := ring.signer(t.Context()); err == nil {
		t.Error("a key signs that may be gone")
	}
	ring.clock = ring.clock.Add(time.Second)
	if got, err := ring.PublicKeys(t.Context()); err == nil {
		t.Errorf("an hour later: %s", got)
	}
}

func TestKeysNeedASecretAndAnAlgorithm(t *testing.T) {
	for name, o := range map[string]SigningKeyOptions{
		"no secret":         {},
		"a short secret":    {SystemSecret: []byte("short")},
		"a short older one": {SystemSecret: []byte(secretA), PreviousSystemSecrets: [][]byte{[]byte("short")}},
		"HS256":             {SystemSecret: []byte(secretA), Algorithm: "HS256"},
		"none":              {SystemSecret: []byte(secretA), Algorithm: "none"},
	} {
		if _, err := NewSigningKeys(&keyStore{}, o); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ring := newKeyRing(t, &keyStore{}, SigningKeyOptions{})
	if _, err := ring.signer(t.Context()); !errors.Is(err, errNoKeys) {
		t.Errorf("without keys: %v", err)
	}
	if set, err := ring.PublicKeys(t.Context()); err != nil || string(set) != `{"keys":[]}` {
		t.Errorf("without keys the JWKS is %s, %v", set, err)
	}
	if _, err := ring.Rotate(t.Context()); !errors.Is(err, errNoKeys) {
		t.Errorf("a rotation without keys: %v", err)
	}
	if err := ring.Maintain(t.Context()); err != nil {
		t.Errorf("maintenance without keys: %v", err)
	}
}
