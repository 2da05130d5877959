package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/slowhash"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
	"golang.org/x/crypto/bcrypt"
)

// hashesOfAllKinds are of different cost; the secrets do not matter.
func hashesOfAllKinds() map[string][]string {
	bcryptOf := func(cost int) string { return fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat("a", 53)) }
	return map[string][]string{
		"bcrypt 4":            {bcryptOf(4)},
		"bcrypt 6":            {bcryptOf(6)},
		"two of bcrypt 6":     {bcryptOf(6), bcryptOf(6)},
		"pbkdf2-sha256":       {quickHash},
		"pbkdf2-sha256 1000":  {"$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQ$" + pbkdf2SHA256},
		"pbkdf2-sha512":       {"$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHQ$" + pbkdf2SHA512},
		"argon2id":            {"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + pbkdf2SHA256},
		"argon2id and bcrypt": {"$argon2id$v=19$m=128,t=2,p=1$c2FsdHNhbHQ$" + pbkdf2SHA256, bcryptOf(5)},
	}
}

// Time must not tell which clients exist, nor which hash they have: what a client's own hashes cost, and what is added
// when it is refused, make the same work for each, and for a client that does not exist.
func TestEachRefusalIsTheSameWork(t *testing.T) {
	store := &storeWithImports{MemoryStore: storage.NewMemoryStore(), hashes: hashesOfAllKinds()}
	var d refusalCost
	unknown, err := d.most(t.Context(), store, slowhash.Work{})
	if err != nil {
		t.Fatal(err)
	}
	want := slowhash.Work{Bcrypt: 2 << 6, SHA256: 1000, SHA512: 1000, Argon2id: 256, Memory: 128, Passes: 2, Threads: 1}
	if unknown != want {
		t.Errorf("the work for an unknown client is %+v, want the most expensive of each kind: %+v", unknown, want)
	}
	for name, hashes := range store.hashes {
		var own slowhash.Work
		for _, hash := range hashes {
			w := slowhash.Of([]byte(hash))
			if w.None() {
				t.Errorf("%s: %s costs nothing", name, hash)
			}
			own = own.Plus(w)
		}
		most, err := d.most(t.Context(), store, own)
		if err != nil {
			t.Fatal(err)
		}
		if sum := own.Plus(most.Without(own)); sum.Bcrypt != want.Bcrypt || sum.SHA256 != want.SHA256 || sum.SHA512 != want.SHA512 || sum.Argon2id != want.Argon2id {
			t.Errorf("%s: %+v, want %+v", name, sum, want)
		}
	}
	if w := slowhash.Of([]byte("$sha256$" + pbkdf2SHA256)); !w.None() {
		t.Errorf("a fast hash is %+v", w)
	}
}

// The work is really done: with clients of bcrypt 4 and 7, each refusal takes as long as one with 7.
func TestRefusalsTakeAsLongAsTheDearestHash(t *testing.T) {
	store := &storeWithImports{MemoryStore: storage.NewMemoryStore(), hashes: map[string][]string{}}
	for _, cost := range []int{4, 7} {
		hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), cost)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("bcrypt ", cost)
		store.hashes[id] = []string{string(hash)}
		store.Clients[id] = &fosite.DefaultClient{ID: id, Secret: hash}
	}
	hasher := NewSecretHasher()
	generated := client.NewSecret()
	fast, err := hasher.Hash(t.Context(), []byte(generated))
	if err != nil {
		t.Fatal(err)
	}
	store.Clients["fast"] = &fosite.DefaultClient{ID: "fast", Secret: fast}
	store.Clients["public"] = &fosite.DefaultClient{ID: "public", Public: true}
	a := &ClientAuthenticator{Store: store, Hasher: hasher}
	takeAsLong(t, []string{"bcrypt 7", "bcrypt 4", "fast", "public", "unknown"}, func(id string) { // a ratio of 0.13 without
		_, err := a.Authenticate(t.Context(), httptest.NewRequest(http.MethodPost, "/token", nil), url.Values{"client_id": {id}, "client_secret": {"wrong"}})
		if !errors.Is(err, fosite.ErrInvalidClient) {
			t.Fatalf("%s: %v", id, err)
		}
	})
}

// takeAsLong fails unless refuse takes about as long for all as for the first one. It counts the shortest time of each, and takes
// more of them while they differ, because the machine may be busy.
func takeAsLong(t *testing.T, all []string, refuse func(id string)) {
	t.Helper()
	best := map[string]time.Duration{}
	differ := true
	for round := 0; round < 7 || differ && round < 70; round++ {
		differ = false
		for _, id := range all {
			start := time.Now()
			refuse(id)
			if took := time.Since(start); best[id] == 0 || took < best[id] {
				best[id] = took
			}
			ratio := float64(best[id]) / float64(best[all[0]])
			differ = differ || ratio < 0.3 || ratio > 3
		}
	}
	if differ {
		t.Errorf("the refusals take %v", best)
	}
}

// People's hashes, too, may be of different cost.
func TestAWrongPasswordTakesAsLongAsTheDearest(t *testing.T) {
	h := newSecretHasher(1)
	dear := "$pbkdf2-sha256$i=20000,l=32$c2FsdHNhbHQ$" + pbkdf2SHA256
	takeAsLong(t, []string{dear, quickHash}, func(hash string) { // a ratio of 0.0001 without
		if err := h.ComparePassword(t.Context(), "address", []byte(hash), []byte("wrong")); err == nil {
			t.Fatal("let in")
		}
	})
}
