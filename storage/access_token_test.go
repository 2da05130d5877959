package storage

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/ory/fosite"
)

// A new token goes to the end of its index: in the middle of a large one, each would touch a page of its own.
func TestKeysAreInTheOrderOfTheTimesThatSignaturesBeginWith(t *testing.T) {
	var last []byte
	for _, signature := range []string{"018bcfe567ff~zzz", "018bcfe56800~zzz", "018bcfe56801~aaa", "018bcfe56900~", "018bd0000000~aaa"} {
		key := signatureHash(signature)
		if len(key) != 32 || bytes.Compare(last, key) >= 0 {
			t.Errorf("the key of %s is %x, which is not 32 bytes after %x", signature, key, last)
		}
		last = key
	}
}

func TestKeyOfAnyOtherSignatureIsItsHash(t *testing.T) {
	for _, signature := range []string{
		"018bcfe56800", "018bcfe56800.aaa", "018bcfe5680g~aaa", "018bcfe5680~aaaa", "~", strings.Repeat("~", 13), strings.Repeat("a", 43),
	} {
		if !bytes.Equal(signatureHash(signature), hashOf(signature)) {
			t.Errorf("the key of %q is not its hash", signature)
		}
	}
}

func TestKeysTellSignaturesOfOneMomentApart(t *testing.T) {
	a, b := signatureHash("018bcfe56800~a"), signatureHash("018bcfe56800~b")
	if bytes.Equal(a, b) || bytes.Contains(a, []byte("018bcfe56800")) {
		t.Errorf("keys %x and %x", a, b)
	}
}

// fosite keeps the parameter grant_type of whatever request a token came of, and anybody can add it to an authorization
// request. A token without a grant would live on when its person's access is revoked.
func TestAParameterDoesNotTakeATokenOutOfItsGrant(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, form := range map[string]url.Values{
			"implicit":         {"grant_type": {"client_credentials"}, "response_type": {"token"}},
			"with a person":    {"grant_type": {"client_credentials"}},
			"without the type": {},
		} {
			store := e.storeWithClients(t)
			request := store.authenticated(t, "person")
			request.Form, request.Session = form, &fosite.DefaultSession{Subject: "ada"}
			if err := store.CreateAccessTokenSession(soon(t), "signature", request); err != nil {
				t.Fatal(err)
			}
			if _, err := store.RevokeSubject(soon(t), "ada", ""); err != nil {
				t.Fatal(err)
			}
			if _, err := store.GetAccessTokenSession(soon(t), "signature", nil); !errors.Is(err, fosite.ErrNotFound) {
				t.Errorf("%s: %v, want that the token is revoked", name, err)
			}
		}
	})
}
