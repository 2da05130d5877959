package provider

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
	"golang.org/x/crypto/bcrypt"
)

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
	if first, second := a.hasher(), a.hasher(); first != second || first.clients == nil {
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

// As with fosite: a hash that is still there would let in whoever has an old secret.
func TestAClientWithAKeyHasNoUseForASecret(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for method, good := range map[string]bool{"private_key_jwt": false, "client_secret_basic": true} {
		store := storage.NewMemoryStore()
		store.Clients["ci"] = &fosite.DefaultOpenIDConnectClient{
			DefaultClient: &fosite.DefaultClient{ID: "ci", Secret: hash}, TokenEndpointAuthMethod: method,
		}
		authenticator := &ClientAuthenticator{Store: store}
		basic := httptest.NewRequest(http.MethodPost, "/token", nil)
		basic.SetBasicAuth("ci", "sesame")
		_, basicErr := authenticator.Authenticate(t.Context(), basic, url.Values{})
		_, formErr := authenticator.Authenticate(t.Context(), httptest.NewRequest(http.MethodPost, "/token", nil),
			url.Values{"client_id": {"ci"}, "client_secret": {"sesame"}})
		for way, err := range map[string]error{"header": basicErr, "form": formErr} {
			if good && err != nil || !good && !errors.Is(err, fosite.ErrInvalidClient) {
				t.Errorf("%s, secret in the %s: %v", method, way, err)
			}
		}
	}
}
