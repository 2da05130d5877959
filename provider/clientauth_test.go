package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
	"golang.org/x/crypto/bcrypt"
)

// storeWithImports is a store that holds hashes which take long to compare.
type storeWithImports struct {
	*storage.MemoryStore
	decoy []byte
	asked atomic.Int64
}

func (s *storeWithImports) DecoySecretHash(context.Context) ([]byte, error) {
	s.asked.Add(1)
	return s.decoy, nil
}

// slowCounter counts the comparisons that take long.
type slowCounter struct {
	fosite.Hasher
	slow int
}

func (c *slowCounter) Compare(ctx context.Context, hash, secret []byte) error {
	if isSlow(hash) {
		c.slow++
	}
	return c.Hasher.Compare(ctx, hash, secret)
}

// Time must not tell which clients exist: where one client's secret takes long to compare, every failure does.
func TestEveryFailureCostsOneSlowComparison(t *testing.T) {
	bc, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	generated := NewSecret()
	hasher := &slowCounter{Hasher: NewSecretHasher()}
	fast, err := hasher.Hash(t.Context(), []byte(generated))
	if err != nil {
		t.Fatal(err)
	}
	store := &storeWithImports{MemoryStore: storage.NewMemoryStore(), decoy: bc}
	store.Clients["imported"] = &fosite.DefaultClient{ID: "imported", Secret: bc}
	store.Clients["generated"] = &fosite.DefaultClient{ID: "generated", Secret: fast}
	authenticator := &ClientAuthenticator{Store: store, Hasher: hasher}
	authenticate := func(id, secret string) error {
		hasher.slow = 0
		store.asked.Store(0)
		form := url.Values{"client_id": {id}, "client_secret": {secret}}
		_, err := authenticator.Authenticate(t.Context(), httptest.NewRequest(http.MethodPost, "/token", nil), form)
		return err
	}
	store.Clients["public"] = &fosite.DefaultClient{ID: "public", Public: true}
	for _, id := range []string{"imported", "generated", "public", "unknown"} {
		if err := authenticate(id, "wrong"); err == nil || hasher.slow != 1 {
			t.Errorf("%s, wrong secret: %d slow comparisons and error %v, want 1 and an error", id, hasher.slow, err)
		}
	}
	if err := authenticate("generated", generated); err != nil || hasher.slow != 0 {
		t.Errorf("the right secret: %d slow comparisons and error %v, want none", hasher.slow, err)
	}
}

// SDKs differ in whether they form-encode the parts of a Basic header.
func TestBasicWorksEncodedAndRaw(t *testing.T) {
	const secret = "a+b%20c/d=" // of an imported client; ours need no encoding
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMemoryStore()
	store.Clients["ci"] = &fosite.DefaultClient{ID: "ci", Secret: hash}
	authenticator := &ClientAuthenticator{Store: store}
	for name, sent := range map[string]string{"raw": secret, "encoded": url.QueryEscape(secret)} {
		r := httptest.NewRequest(http.MethodPost, "/token", nil)
		r.SetBasicAuth("ci", sent)
		if _, err := authenticator.Authenticate(t.Context(), r, url.Values{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// It bounds how many slow hashes are compared at a time, so there must be one, not one for each comparison.
func TestWithoutAHasherThereIsOneForAll(t *testing.T) {
	a := &ClientAuthenticator{}
	if a.hasher() != a.hasher() || a.hasher().clients == nil {
		t.Error("slow comparisons are not bounded")
	}
}

// RFC 9110 §11.1 and §11.4: the scheme in any case, then one space or several. Nothing else is a header of ours.
func TestSpacesBehindTheSchemeAreAllTheSame(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMemoryStore()
	store.Clients["ci"] = &fosite.DefaultClient{ID: "ci", Secret: hash}
	authenticator := &ClientAuthenticator{Store: store}
	pair := base64.StdEncoding.EncodeToString([]byte("ci:sesame"))
	for name, c := range map[string]struct {
		headers []string
		good    bool
	}{
		"one space": {[]string{"Basic " + pair}, true}, "two spaces": {[]string{"Basic  " + pair}, true}, "many": {[]string{"Basic       " + pair}, true},
		"small letters": {[]string{"basic  " + pair}, true}, "capitals": {[]string{"BASIC " + pair}, true},
		"a tab": {[]string{"Basic\t" + pair}, false}, "a space and a tab": {[]string{"Basic \t" + pair}, false}, "no space": {[]string{"Basic" + pair}, false},
		"nothing behind it": {[]string{"Basic"}, false}, "spaces behind it": {[]string{"Basic   "}, false}, "two pairs": {[]string{"Basic " + pair + " " + pair}, false},
		"two headers": {[]string{"Basic " + pair, "Basic " + pair}, false}, "another header before it": {[]string{"Bearer x", "Basic " + pair}, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/token", nil)
		r.Header["Authorization"] = c.headers
		_, err := authenticator.Authenticate(t.Context(), r, url.Values{})
		if c.good != (err == nil) || err != nil && !errors.Is(err, fosite.ErrInvalidClient) {
			t.Errorf("%s: %v", name, err)
		}
		// A header that is malformed is not made up for by the form.
		form := url.Values{"client_id": {"ci"}, "client_secret": {"sesame"}}
		if _, err := authenticator.Authenticate(t.Context(), r, form); name != "no space" && c.good != (err == nil) {
			t.Errorf("%s, and the form: %v", name, err)
		}
	}
}
