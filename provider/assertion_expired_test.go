package provider

import (
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"
)

// A client that has expired is told so once its assertion is verified, which is not used up by that.
func TestAnExpiredClientWithAKeyIsToldWhy(t *testing.T) {
	keys := assertionKeys()
	for name, test := range map[string]struct {
		client  fosite.Client
		form    func(key any, alg jose.SignatureAlgorithm) string
		sentFor string
	}{
		"by itself": {assertingClient("machine", publicJWK(keys.rsa)), func(key any, alg jose.SignatureAlgorithm) string {
			return signAssertion(t, alg, key, "", goodClaims(nil))
		}, "machine"},
		"by its platform": {podClient(false), func(key any, alg jose.SignatureAlgorithm) string {
			return signAssertion(t, alg, key, "", kubernetesClaims(nil))
		}, "indexer"},
	} {
		t.Run(name, func(t *testing.T) {
			v, store := verifierFor()
			store.clientErr = &client.ExpiredError{Client: test.client, At: assertionNow.Add(-time.Hour)}
			_, err := v.authenticate(t.Context(), podForm(test.form(keys.rsa, jose.RS256), test.sentFor))
			wantError(t, err, fosite.ErrInvalidClient, "client assertion: the client has expired")
			if told := fosite.ErrorToRFC6749Error(err).GetDescription(); !strings.Contains(told, "The client has expired at 20") {
				t.Errorf("it hears %q", told)
			}
			if len(store.used) != 0 {
				t.Errorf("used up %v", store.used)
			}
			_, err = v.authenticate(t.Context(), podForm(test.form(keys.p256, jose.ES256), test.sentFor))
			wantError(t, err, fosite.ErrInvalidClient, "no registered key")
			if told := fosite.ErrorToRFC6749Error(err).GetDescription(); strings.Contains(told, "expired") {
				t.Errorf("somebody else hears %q", told)
			}
		})
	}
}

// A disabled client hears what one hears that is not there; the audit log tells the two apart.
func TestADisabledClientThatProvesItselfIsToldApartOnRecordAlone(t *testing.T) {
	keys := assertionKeys()
	v, store := verifierFor()
	hear := func(with error, reason string) string {
		store.clientErr = with
		_, err := v.authenticate(t.Context(), podForm(signAssertion(t, jose.RS256, keys.rsa, "", goodClaims(nil)), "machine"))
		wantError(t, err, fosite.ErrInvalidClient, "client assertion: "+reason)
		return fosite.ErrorToRFC6749Error(err).GetDescription()
	}
	if disabled, unknown := hear(client.ErrDisabled, "the client is disabled"), hear(fosite.ErrNotFound, "unknown client"); disabled != unknown {
		t.Errorf("%q and %q", disabled, unknown)
	}
}
