package client

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
)

// A Status says what a client may do.
type Status string

const (
	Active   Status = "active"
	Disabled Status = "disabled" // may do nothing; its tokens are inactive until it is enabled again
	Deleted  Status = "deleted"  // gone for good; the id is kept so that it is never given out again
)

// Client is a registered client. Field names follow RFC 7591 §2 where that has one.
type Client struct {
	ID                      string
	Name                    string
	Owner                   string
	Status                  Status
	Scope                   []string
	Audience                []string // resources its tokens may be for (RFC 8707)
	Introspects             []string // resources it may introspect tokens for, as their resource server
	GrantTypes              []string
	ResponseTypes           []string
	RedirectURIs            []string
	TokenEndpointAuthMethod string
	// TokenEndpointAuthSigningAlg is the one algorithm its assertions must use; empty: any supported one.
	TokenEndpointAuthSigningAlg string
	JWKS                        *jose.JSONWebKeySet
	JWKSURI                     string
	AccessTokenLifespan         time.Duration // 0: the server's
	Metadata                    json.RawMessage
	Secrets                     []Secret
	// Epoch counts how often all tokens of the client were revoked. A token carries the epoch it was issued in.
	Epoch         int64
	RevokedBefore time.Time
	Version       int64 // raised by every change
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ExpiresAt     time.Time // zero: never
	LastUsedAt    time.Time // coarse; zero: not yet

	used *Secret // the secret that authenticated this request
}

// MaxSecrets bounds how many secrets of one client work at the same time: each failed authentication tries them all.
const MaxSecrets = 10

// Secret is one of a client's secrets: its hash and what is known about it, never the secret.
type Secret struct {
	ID         string
	Hash       []byte
	Hint       string // the secret's last four characters
	Epoch      int64
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // coarse; zero: not yet
	EndsOthers bool      // its first use ends the client's other secrets
}

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
func (c *Client) IsPublic() bool                     { return c.TokenEndpointAuthMethod == "none" }
func (c *Client) GetName() string                    { return c.Name }
func (c *Client) GetIntrospects() []string           { return c.Introspects }
func (c *Client) GetTokenEndpointAuthMethod() string { return c.TokenEndpointAuthMethod }

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
	if c.TokenEndpointAuthMethod == "private_key_jwt" {
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
