package handlers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"fosite-mcp/handlers/resource"
	"fosite-mcp/provider/client"

	"github.com/go-jose/go-jose/v3"
)

// roundTripper takes requests to the endpoints without a network.
type roundTripper struct{ handler http.Handler }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// A service can authenticate with resource.Introspector in every way that the endpoints take.
func TestEveryWayInWhichAServiceAuthenticates(t *testing.T) {
	f := newFixture(t)
	token := f.token("ci", f.client("ci"))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	withKey := func(id string, signer crypto.Signer) func(*resource.Config) {
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "k1", Use: "sig", Key: signer.Public()}}}
		f.client(id, introspects(docs), func(c *client.Client) {
			c.TokenEndpointAuthMethod, c.JWKS, c.Secrets = "private_key_jwt", &set, nil
		})
		return func(c *resource.Config) {
			c.Key = func() (resource.ClientKey, error) { return resource.ClientKey{ID: "k1", Signer: signer}, nil }
		}
	}
	basic := f.client("basic", introspects(docs))
	posted := f.client("posted", introspects(docs), func(c *client.Client) { c.TokenEndpointAuthMethod = "client_secret_post" })
	for id, edit := range map[string]func(*resource.Config){
		"basic":  func(c *resource.Config) { c.ClientSecret = basic },
		"posted": func(c *resource.Config) { c.ClientSecret, c.SecretInBody = posted, true },
		"es256":  withKey("es256", ec),
		"eddsa":  withKey("eddsa", ed),
		"rs256":  withKey("rs256", rs),
	} {
		config := resource.Config{
			Issuer: issuer, Endpoint: issuer + basePath + "/introspect", ClientID: id, Resource: docs,
			HTTPClient: &http.Client{Transport: roundTripper{f.router}},
		}
		edit(&config)
		verifier, err := resource.NewIntrospector(config)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // an assertion is good once
			if got, err := verifier.Verify(t.Context(), token); err != nil || got.ClientID != "ci" {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
		if _, err := verifier.Verify(t.Context(), token+hostileSuffix); !errors.Is(err, resource.ErrInactive) {
			t.Errorf("%s: another token: %v", id, err)
		}
	}
}
