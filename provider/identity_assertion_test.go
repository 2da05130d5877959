package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"testing"

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
	}{
		"that has the grant now": {claims: identityClaims(nil), key: assertionKeys().ed, grants: []string{"authorization_code", client.JWTBearer}, asked: true,
			before: &client.Client{ID: documentURL, Status: client.Active, RegisteredBy: client.MetadataDocument, TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, Audience: []string{docsMCP}}},
		"that has the grant not": {claims: identityClaims(nil), key: assertionKeys().other, grants: []string{client.JWTBearer}, want: fosite.ErrUnauthorizedClient,
			before: &client.Client{ID: documentURL, Status: client.Active, RegisteredBy: client.MetadataDocument, TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, Audience: []string{docsMCP}}},
		"vouched for":          {claims: identityClaims(nil), key: assertionKeys().ed, grants: []string{"authorization_code", client.JWTBearer}, asked: true},
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
			site.serve(document)
			oauth, store, _ := trusting(t, Options{Documents: documents}, ruleOf(t, `{"issuer":"https://acme.idp.example","profile":"id-jag"}`))
			documents.o.Store = store
			if test.before != nil {
				store.Clients[test.before.ID] = test.before.Fosite()
			}
			form := exchangeForm(signedIdentity(t, test.key, test.claims))
			form.Set("client_id", test.claims["client_id"].(string))
			response, err := tokenRequest(t, oauth, form)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("%v (%s), want %v", err, debugOf(err), test.want)
			}
			if asked := site.requests.Load() > 0; asked != test.asked {
				t.Errorf("a document was fetched: %v", asked)
			}
			if test.want != nil {
				return
			}
			_, token, err := oauth.IntrospectToken(t.Context(), response.GetAccessToken(), fosite.AccessToken, NewSession())
			if err != nil || token.GetClient().GetID() != documentURL || token.GetSession().GetSubject() != "U019488227" {
				t.Errorf("%v, %v", token, err)
			}
			again := exchangeForm(signedIdentity(t, test.key, identityClaims(claimSet{"jti": "j2"})))
			again.Set("client_id", documentURL)
			if _, err := tokenRequest(t, oauth, again); err != nil || site.requests.Load() != 1 {
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
