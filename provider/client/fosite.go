package client

import (
	"slices"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
)

var (
	_ fosite.ClientWithSecretRotation       = (*Client)(nil)
	_ fosite.ClientWithCustomTokenLifespans = (*Client)(nil)
	_ fosite.OpenIDConnectClient            = (*keyClient)(nil)
)

// GetID implements [fosite.Client], as do the methods below it.
func (c *Client) GetID() string                      { return c.ID }
func (c *Client) GetRedirectURIs() []string          { return c.RedirectURIs }
func (c *Client) GetGrantTypes() fosite.Arguments    { return c.GrantTypes }
func (c *Client) GetResponseTypes() fosite.Arguments { return c.ResponseTypes }
func (c *Client) GetScopes() fosite.Arguments        { return c.Scope }
func (c *Client) GetAudience() fosite.Arguments      { return c.Audience }
func (c *Client) IsPublic() bool                     { return c.TokenEndpointAuthMethod == authMethodNone }
func (c *Client) GetName() string                    { return c.Name }
func (c *Client) GetIntrospects() []string           { return c.Introspects }
func (c *Client) GetExpiresAt() time.Time            { return c.ExpiresAt }
func (c *Client) GetTokenEndpointAuthMethod() string { return c.TokenEndpointAuthMethod }

// GetAssertionIssuer implements provider.ClientWithAssertionIssuer.
func (c *Client) GetAssertionIssuer() (issuer, subject string, reusable bool) {
	return c.AssertionIssuer, c.AssertionSubject, c.AssertionReusable
}

// UsesSecret tells whether the client proves who it is with a secret.
func (c *Client) UsesSecret() bool {
	return c.TokenEndpointAuthMethod != authMethodNone && c.TokenEndpointAuthMethod != authMethodKey
}

// GetHashedSecret implements [fosite.Client]. A client without a secret has a nil hash, which matches nothing.
func (c *Client) GetHashedSecret() []byte {
	if len(c.Secrets) == 0 {
		return nil
	}
	return c.Secrets[0].Hash
}

// GetRotatedHashes implements [fosite.ClientWithSecretRotation]: the other secrets that work now.
func (c *Client) GetRotatedHashes() [][]byte {
	if len(c.Secrets) < 2 {
		return nil
	}
	hashes := make([][]byte, 0, len(c.Secrets)-1)
	for _, secret := range c.Secrets[1:] {
		hashes = append(hashes, secret.Hash)
	}
	return hashes
}

// IsDynamicallyRegistered implements login.DynamicClient: the consent page says that nobody has looked at such a client.
func (c *Client) IsDynamicallyRegistered() bool { return c.RegisteredBy == DynamicRegistration }

// AuthenticatedWith records which secret proved this client's identity, so that the tokens of this request can
// be revoked together with it.
func (c *Client) AuthenticatedWith(hash []byte) {
	for i := range c.Secrets {
		if slices.Equal(c.Secrets[i].Hash, hash) {
			c.used = &c.Secrets[i]
			return
		}
	}
}

// UsedSecret is the secret that authenticated this request, or nil.
func (c *Client) UsedSecret() *Secret { return c.used }

// GetEffectiveLifespan implements [fosite.ClientWithCustomTokenLifespans].
func (c *Client) GetEffectiveLifespan(_ fosite.GrantType, kind fosite.TokenType, fallback time.Duration) time.Duration {
	if kind == fosite.AccessToken && c.AccessTokenLifespan > 0 {
		return c.AccessTokenLifespan
	}
	return fallback
}

// keyClient is a client that authenticates with a key (RFC 7523 §2.2). Only these are OpenID Connect clients in
// fosite's sense: fosite pins such a client to one method, and a client with a secret must be free to send it
// either way.
type keyClient struct{ *Client }

func (c *keyClient) GetRequestURIs() []string                 { return nil }
func (c *keyClient) GetJSONWebKeys() *jose.JSONWebKeySet      { return c.JWKS }
func (c *keyClient) GetJSONWebKeysURI() string                { return c.JWKSURI }
func (c *keyClient) GetRequestObjectSigningAlgorithm() string { return "" }
func (c *keyClient) GetTokenEndpointAuthSigningAlgorithm() string {
	return c.TokenEndpointAuthSigningAlg
}

// Fosite is the client as fosite should see it.
func (c *Client) Fosite() fosite.Client {
	if c.TokenEndpointAuthMethod == authMethodKey {
		return &keyClient{c}
	}
	return c
}

// Of is the [Client] behind a client of fosite's, or nil for another type.
func Of(client fosite.Client) *Client {
	switch c := client.(type) {
	case *Client:
		return c
	case *keyClient:
		return c.Client
	}
	return nil
}
