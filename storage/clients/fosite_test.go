package clients_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ory/fosite"
	"golang.org/x/crypto/bcrypt"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
)

func bcryptHash(t *testing.T, secret string) []byte {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// theirs is a client of a host's, with a secret and one before that.
func theirs(t *testing.T) *fosite.DefaultClient {
	return &fosite.DefaultClient{
		ID: "theirs", Secret: bcryptHash(t, "their secret"), RotatedSecrets: [][]byte{bcryptHash(t, "the one before")},
		RedirectURIs: []string{"https://app.example/callback"}, GrantTypes: []string{"client_credentials"}, ResponseTypes: []string{"token"},
		Scopes: []string{"mcp:search"}, Audience: []string{"https://docs.example/mcp"},
	}
}

// registered stores a host's client, and reads it back as fosite does.
func (f *fixture) registered(t *testing.T, theirs fosite.Client) *client.Client {
	t.Helper()
	found, err := storage.FromFosite(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Create(soon(t), found); err != nil {
		t.Fatal(err)
	}
	stored, err := f.Get(soon(t), theirs.GetID())
	if err != nil {
		t.Fatal(err)
	}
	says := func(c fosite.Client) []any {
		return []any{c.GetID(), c.IsPublic(), c.GetRedirectURIs(), c.GetGrantTypes(), c.GetResponseTypes(), c.GetScopes(), c.GetAudience()}
	}
	if diff := cmp.Diff(says(theirs), says(stored), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what fosite sees (-want +got):\n%s", diff)
	}
	return client.Of(stored)
}

// authenticates tries the client's secret at fosite's own authentication and at provider's, by each way of sending it.
func (f *fixture) authenticates(t *testing.T, id, secret string, want bool) {
	t.Helper()
	ours := &provider.ClientAuthenticator{Store: f.store}
	theirs := fosite.NewOAuth2Provider(f.store, new(fosite.Config))
	for name, strategy := range map[string]fosite.ClientAuthenticationStrategy{"provider": ours.Authenticate, "fosite": theirs.AuthenticateClient} {
		for _, basic := range []bool{true, false} {
			form := url.Values{"client_id": {id}, "client_secret": {secret}}
			if basic {
				form = url.Values{}
			}
			r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if basic {
				r.SetBasicAuth(id, url.QueryEscape(secret))
			}
			r.PostForm = form
			client, err := strategy(context.WithoutCancel(soon(t)), r, form)
			if ok := err == nil && client.GetID() == id; ok != want {
				t.Errorf("%s, Basic %v, with %q: %v; want success %v", name, basic, secret, err, want)
			}
		}
	}
}

func TestAHostsClientGoesOnWithItsOwnSecrets(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		for name, client := range map[string]func(*fosite.DefaultClient) fosite.Client{
			"DefaultClient": func(c *fosite.DefaultClient) fosite.Client { return c },
			"DefaultResponseModeClient": func(c *fosite.DefaultClient) fosite.Client {
				return &fosite.DefaultResponseModeClient{DefaultClient: c}
			},
			"DefaultOpenIDConnectClient": func(c *fosite.DefaultClient) fosite.Client {
				return &fosite.DefaultOpenIDConnectClient{DefaultClient: c, TokenEndpointAuthMethod: "client_secret_post"}
			},
		} {
			t.Run(name, func(t *testing.T) {
				f := e.open(t)
				f.registered(t, client(theirs(t)))
				f.authenticates(t, "theirs", "their secret", true)
				f.authenticates(t, "theirs", "the one before", true)
				f.authenticates(t, "theirs", "another", false)
			})
		}
	})
}

// Whoever reads the client would see its private key.
func TestAHostsClientWithAPrivateKeyIsRefused(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = storage.FromFosite(&fosite.DefaultOpenIDConnectClient{
		DefaultClient: &fosite.DefaultClient{ID: "theirs"}, TokenEndpointAuthMethod: "private_key_jwt",
		JSONWebKeys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private, KeyID: "theirs"}}},
	})
	if err == nil || !strings.Contains(err.Error(), "JSONWebKeys") || !strings.Contains(err.Error(), "must be a public key") {
		t.Errorf("error %v, want the private key named", err)
	}
}

func TestAHostsPublicClientHasNoSecret(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		public := &fosite.DefaultClient{ID: "public", Public: true, RedirectURIs: []string{"http://127.0.0.1/callback"}}
		for _, client := range []fosite.Client{
			public, &fosite.DefaultOpenIDConnectClient{DefaultClient: public, TokenEndpointAuthMethod: "none"},
		} {
			f := e.open(t)
			got := f.registered(t, client)
			if got.TokenEndpointAuthMethod != "none" || len(got.Secrets) != 0 {
				t.Errorf("from a %T: method %q, %d secrets", client, got.TokenEndpointAuthMethod, len(got.Secrets))
			}
			if diff := cmp.Diff([]string{"authorization_code"}, got.GrantTypes); diff != "" {
				t.Errorf("fosite's default (-want +got):\n%s", diff)
			}
		}
	})
}

func TestAHostsClientKeepsItsKeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		public, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys := &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
		f := e.open(t)
		for id, signed := range map[string]string{"ES256": "ES256", "": "RS256"} { // RS256 is fosite's default
			got := f.registered(t, &fosite.DefaultOpenIDConnectClient{
				DefaultClient: &fosite.DefaultClient{ID: "keys" + id}, JSONWebKeys: keys, JSONWebKeysURI: "https://app.example/keys",
				TokenEndpointAuthMethod: "private_key_jwt", TokenEndpointAuthSigningAlgorithm: id,
			})
			want := &client.Client{JWKS: keys, JWKSURI: "https://app.example/keys", TokenEndpointAuthMethod: "private_key_jwt", TokenEndpointAuthSigningAlg: signed}
			have := &client.Client{JWKS: got.JWKS, JWKSURI: got.JWKSURI, TokenEndpointAuthMethod: got.TokenEndpointAuthMethod, TokenEndpointAuthSigningAlg: got.TokenEndpointAuthSigningAlg}
			if diff := cmp.Diff(want, have, cmpopts.IgnoreUnexported(client.Client{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("algorithm %q (-want +got):\n%s", id, diff)
			}
			seen, err := f.Get(soon(t), got.ID)
			if _, ok := seen.(fosite.OpenIDConnectClient); !ok || err != nil {
				t.Errorf("fosite sees a %T (%v), which may not send assertions", seen, err)
			}
		}
	})
}

// foreign is a type that nobody but the host knows.
type foreign struct{ *fosite.DefaultClient }

func TestWhatCannotBeRegisteredNamesTheField(t *testing.T) {
	plain := func(edit func(*fosite.DefaultClient)) fosite.Client {
		c := theirs(t)
		edit(c)
		return c
	}
	openID := func(edit func(*fosite.DefaultOpenIDConnectClient)) fosite.Client {
		c := &fosite.DefaultOpenIDConnectClient{DefaultClient: theirs(t)}
		edit(c)
		return c
	}
	for _, c := range []struct {
		client fosite.Client
		want   []string
	}{
		{plain(func(c *fosite.DefaultClient) { c.ID = "" }), []string{"ID is empty"}},
		{plain(func(c *fosite.DefaultClient) { c.Public = true }), []string{"Public", "Secret"}},
		{plain(func(c *fosite.DefaultClient) {
			c.RotatedSecrets = make([][]byte, 0, 20)
			for range 10 {
				c.RotatedSecrets = append(c.RotatedSecrets, []byte("x"))
			}
		}), []string{"RotatedSecrets", "11"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) { c.RequestURIs = []string{"https://app.example/request"} }), []string{"RequestURIs"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) { c.RequestObjectSigningAlgorithm = "RS256" }), []string{"RequestObjectSigningAlgorithm"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) { c.TokenEndpointAuthMethod = "client_secret_jwt" }), []string{"TokenEndpointAuthMethod", "client_secret_jwt"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) { c.TokenEndpointAuthMethod = "none" }), []string{"TokenEndpointAuthMethod", "Public"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) {
			c.Public, c.TokenEndpointAuthMethod = true, "client_secret_post"
		}), []string{"TokenEndpointAuthMethod", "Public"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) {
			c.RequestURIs, c.RequestObjectSigningAlgorithm, c.ID = []string{"x"}, "RS256", ""
		}), []string{"RequestURIs", "RequestObjectSigningAlgorithm", "ID is empty"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) { c.TokenEndpointAuthMethod = "private_key_jwt" }), []string{"TokenEndpointAuthMethod", "Secret"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) {
			c.TokenEndpointAuthMethod, c.Secret = "private_key_jwt", nil
		}), []string{"TokenEndpointAuthMethod", "RotatedSecrets"}},
		{openID(func(c *fosite.DefaultOpenIDConnectClient) {
			c.DefaultClient = &fosite.DefaultClient{ID: "public", Public: true}
		}), []string{"TokenEndpointAuthMethod is empty", "none"}},
		{&fosite.DefaultResponseModeClient{DefaultClient: theirs(t), ResponseModes: []fosite.ResponseModeType{"", "form_post"}}, []string{"ResponseModes", "form_post"}},
		{&fosite.DefaultResponseModeClient{}, []string{"DefaultClient is nil"}},
		{&fosite.DefaultOpenIDConnectClient{}, []string{"DefaultClient is nil"}},
		{(*fosite.DefaultOpenIDConnectClient)(nil), []string{"DefaultOpenIDConnectClient"}},
		{foreign{theirs(t)}, []string{"clients_test.foreign"}},
		{nil, []string{"<nil>"}},
	} {
		registered, err := client.FromFosite(c.client)
		if err == nil || registered != nil {
			t.Errorf("%+v was registered", c.client)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q: %v", want, err)
			}
		}
		if strings.Contains(err.Error(), string(theirs(t).Secret[:7])) {
			t.Errorf("the error shows a hash: %v", err)
		}
	}
}
