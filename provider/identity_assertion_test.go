package provider

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	josev3 "github.com/go-jose/go-jose/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// Documented and KeepDocumented make the store of rules one of documents' clients, too.
func (s *ruleStore) Documented(_ context.Context, id string) (*client.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := client.Of(s.Clients[id]); known != nil {
		return known, nil
	}
	return nil, fosite.ErrNotFound
}

func (s *ruleStore) KeepDocumented(_ context.Context, c *client.Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Clients[c.ID] = c.Fosite()
	return nil
}

func identityClaims(change claimSet) claimSet {
	claims := claimSet{
		"jti": "j1", "iss": "https://acme.idp.example", "sub": "U019488227", "aud": assertionIssuer, "client_id": documentURL,
		"iat": assertionNow.Unix(), "exp": assertionNow.Unix() + 300, "resource": docsMCP, "scope": "mcp:search",
	}
	for name, value := range change {
		claims[name] = value
	}
	return claims
}

func signedIdentity(t *testing.T, key any, claims claimSet) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, new(jose.SignerOptions).WithType("oauth-id-jag+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	return okay(okay(signer.Sign(okay(json.Marshal(claims)))).CompactSerialize())
}

// A client that nobody has seen gets in by its metadata document, when an enterprise vouches for it. Nobody else has the document
// fetched.
func TestAClientOfADocumentComesWithAnEnterprisesWord(t *testing.T) {
	for name, test := range map[string]struct {
		claims claimSet
		key    any
		grants []string
		want   error
		asked  bool
		before *client.Client // as it is stored
		public bool           // it proves nothing
	}{
		"that has the grant now": {claims: identityClaims(nil), key: assertionKeys().ed, grants: []string{"authorization_code", client.JWTBearer}, asked: true,
			before: &client.Client{ID: documentURL, Status: client.Active, RegisteredBy: client.MetadataDocument, TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, Audience: []string{docsMCP}}},
		"that has the grant not": {claims: identityClaims(nil), key: assertionKeys().other, grants: []string{client.JWTBearer}, want: fosite.ErrUnauthorizedClient, public: true,
			before: &client.Client{ID: documentURL, Status: client.Active, RegisteredBy: client.MetadataDocument, TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, Audience: []string{docsMCP}}},
		"vouched for":          {claims: identityClaims(nil), key: assertionKeys().ed, grants: []string{"authorization_code", client.JWTBearer}, asked: true},
		"that proves nothing":  {claims: identityClaims(nil), key: assertionKeys().ed, grants: []string{"authorization_code", client.JWTBearer}, want: errPublicAssertion, asked: true, public: true},
		"by somebody else":     {claims: identityClaims(nil), key: assertionKeys().other, grants: []string{"authorization_code", client.JWTBearer}, want: fosite.ErrInvalidClient},
		"by another issuer":    {claims: identityClaims(claimSet{"iss": "https://evil.example"}), key: assertionKeys().ed, grants: []string{client.JWTBearer}, want: fosite.ErrInvalidClient},
		"for another server":   {claims: identityClaims(claimSet{"aud": "https://other.example"}), key: assertionKeys().ed, grants: []string{client.JWTBearer}, want: fosite.ErrInvalidClient},
		"without the grant":    {claims: identityClaims(nil), key: assertionKeys().ed, grants: []string{"authorization_code"}, want: fosite.ErrUnauthorizedClient, asked: true},
		"a client of no URL":   {claims: identityClaims(claimSet{"client_id": "app"}), key: assertionKeys().ed, grants: []string{client.JWTBearer}, want: fosite.ErrInvalidClient},
		"that is another's":    {claims: identityClaims(claimSet{"client_id": "https://app.example.com/oauth/other.json"}), key: assertionKeys().ed, grants: []string{client.JWTBearer}, want: errDocument, asked: true},
		"of a host not let in": {claims: identityClaims(claimSet{"client_id": "https://denied.example/client.json"}), key: assertionKeys().ed, grants: []string{client.JWTBearer}, want: errDocument},
	} {
		t.Run(name, func(t *testing.T) {
			documents, site, _, _ := newDocuments(t, func(o *DocumentOptions) { o.DeniedHosts = []string{"denied.example"} })
			document := goodDocument()
			document["grant_types"] = test.grants
			if !test.public {
				document["token_endpoint_auth_method"], document["jwks"] = "private_key_jwt", josev3.JSONWebKeySet{Keys: []josev3.JSONWebKey{publicJWK(assertionKeys().p256)}}
			}
			site.serve(document)
			oauth, store, _ := trusting(t, Options{Documents: documents}, ruleOf(t, `{"issuer":"https://acme.idp.example","profile":"id-jag"}`))
			documents.o.Store = store
			if test.before != nil {
				store.Clients[test.before.ID] = test.before.Fosite()
			}
			form := func(identity claimSet) url.Values {
				id := identity["client_id"].(string)
				form := exchangeForm(signedIdentity(t, test.key, identity))
				form.Set("client_id", id)
				if !test.public {
					proof := signAssertion(t, jose.ES256, assertionKeys().p256, "", goodClaims(claimSet{"iss": id, "sub": id, "jti": "of the client " + identity["jti"].(string)}))
					maps.Copy(form, assertionForm(proof))
				}
				return form
			}
			response, err := tokenRequest(t, oauth, form(test.claims))
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("%v (%s), want %v", err, debugOf(err), test.want)
			}
			if asked := site.requests.Load() > 0; asked != test.asked {
				t.Errorf("a document was fetched: %v", asked)
			}
			if test.want != nil {
				if _, kept := store.Clients[documentURL]; kept && test.public && test.before == nil {
					t.Error("a client that proves nothing is stored")
				}
				return
			}
			_, token, err := oauth.IntrospectToken(t.Context(), response.GetAccessToken(), fosite.AccessToken, NewSession())
			if err != nil || token.GetClient().GetID() != documentURL || token.GetSession().GetSubject() != "U019488227" {
				t.Errorf("%v, %v", token, err)
			}
			if _, err := tokenRequest(t, oauth, form(identityClaims(claimSet{"jti": "j2"}))); err != nil || site.requests.Load() != 1 {
				t.Errorf("once it is known: %v, %d requests", err, site.requests.Load())
			}
		})
	}
}

func TestAnIdentityAssertionNeedsItsClient(t *testing.T) {
	oauth, _, _ := trusting(t, Options{}, ruleOf(t, `{"issuer":"https://acme.idp.example","profile":"id-jag"}`))
	_, err := tokenRequest(t, oauth, exchangeForm(signedIdentity(t, assertionKeys().ed, identityClaims(nil))))
	wantError(t, err, fosite.ErrInvalidClient, "")
	_, err = tokenRequest(t, oauth, url.Values{"grant_type": {client.JWTBearer}})
	wantError(t, err, fosite.ErrInvalidRequest, "")
}

// An assertion is as good as stolen in the hands of a client that cannot prove who it is.
func TestAPublicClientExchangesNoIdentityAssertion(t *testing.T) {
	oauth, store, reason := trusting(t, Options{}, ruleOf(t, `{"issuer":"https://acme.idp.example","profile":"id-jag"}`))
	store.Clients["app"] = &fosite.DefaultClient{ID: "app", Public: true, GrantTypes: []string{client.JWTBearer}, Scopes: []string{"mcp:search"}, Audience: []string{docsMCP}}
	form := exchangeForm(signedIdentity(t, assertionKeys().ed, identityClaims(claimSet{"client_id": "app"})))
	form.Set("client_id", "app")
	_, err := tokenRequest(t, oauth, form)
	wantError(t, err, fosite.ErrUnauthorizedClient, "")
	if len(store.used) > 0 || *reason != "" {
		t.Errorf("the assertion is used up, or refused for %q", *reason)
	}
}

// A token for nothing would be taken wherever nobody looks at its audience.
func TestAnIdentityAssertionGivesNoTokenWithoutAnAudience(t *testing.T) {
	for name, test := range map[string]struct{ clients, rules []string }{
		"nothing in common": {[]string{docsMCP}, []string{"https://wiki.example.com/mcp"}},
		"the client's":      {[]string{docsMCP}, nil},
		"the rule's":        {nil, []string{docsMCP}},
		"neither has any":   {nil, nil},
	} {
		asks := &fosite.DefaultClient{ID: "app", Scopes: []string{"mcp:search"}, Audience: test.clients}
		terms := &identityTerms{asks: asks, sent: &sentAssertion{all: map[string]any{}}}
		o := terms.offer(Resources{}, fosite.NewAccessRequest(NewSession()), &client.Client{Scope: []string{"mcp:search"}, Audience: test.rules})
		if !errors.Is(o.err, ErrInvalidTarget) {
			t.Errorf("%s: %q %q %v, want %v", name, o.scopes, o.audience, o.err, ErrInvalidTarget)
		}
	}
}

// What a host was let in for ends once it is denied, for clients that prove nothing, too.
func TestTheClientsOfADeniedHostEnd(t *testing.T) {
	documents, _, _, _ := newDocuments(t, nil)
	oauth, store, _ := trusting(t, Options{Documents: documents})
	documents.o.Store = store
	app := func(id, registeredBy string) *client.Client {
		return &client.Client{ID: id, Status: client.Active, RegisteredBy: registeredBy, TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code", "refresh_token"}, Scope: []string{"mcp:search"}, Audience: []string{docsMCP}}
	}
	for _, c := range []*client.Client{app(documentURL, client.MetadataDocument), app("app", "")} {
		store.Clients[c.ID] = c.Fosite()
	}
	active := func(id string) bool {
		t.Helper()
		session := NewSession()
		session.SetExpiresAt(fosite.AccessToken, assertionNow.Add(time.Hour))
		token, signature, err := oauth.Strategy.GenerateAccessToken(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r := &fosite.Request{ID: id, Client: store.Clients[id], Session: session, RequestedAt: assertionNow, GrantedScope: []string{"mcp:search"}, GrantedAudience: []string{docsMCP}}
		if err := store.CreateAccessTokenSession(t.Context(), signature, r); err != nil {
			t.Fatal(err)
		}
		_, _, err = oauth.IntrospectToken(t.Context(), token, fosite.AccessToken, NewSession())
		return err == nil
	}
	for _, denied := range []bool{false, true} {
		for id, ends := range map[string]bool{documentURL: denied, "app": false} {
			if active(id) == ends {
				t.Errorf("%s, host denied: %v: the token is active: %v", id, denied, !ends)
			}
			for _, grant := range []string{"authorization_code", "refresh_token", client.JWTBearer} {
				_, err := tokenRequest(t, oauth, url.Values{"grant_type": {grant}, "client_id": {id}, "code": {"x"}, "refresh_token": {"x"}, "assertion": {"x"}})
				if err == nil || errors.Is(err, fosite.ErrInvalidClient) != ends {
					t.Errorf("%s, host denied: %v, %s: %v", id, denied, grant, err)
				}
			}
		}
		documents.o.DeniedHosts = []string{strings.Split(documentURL, "/")[2]}
	}
}
