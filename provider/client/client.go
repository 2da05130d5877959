package client

import (
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v3"
)

// A Status says what a client may do.
type Status string

const (
	Active   Status = "active"
	Disabled Status = "disabled" // may do nothing; its tokens are inactive until it is enabled again
	Deleted  Status = "deleted"  // gone for good; the id is kept so that it is never given out again
	Expired  Status = "expired"  // active, and its ExpiresAt is past: shown, and never stored
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
	// AssertionIssuer and AssertionSubject are the iss and sub of its assertions where another issuer makes them, such as its
	// platform; empty: the client signs them itself. AssertionReusable accepts one of these until it expires.
	AssertionIssuer, AssertionSubject string
	AssertionReusable                 bool
	AccessTokenLifespan               time.Duration // 0: the server's
	Metadata                          json.RawMessage
	Secrets                           []Secret
	// RegisteredBy is [DynamicRegistration] for a client that has registered itself, and [MetadataDocument] for one that a
	// document describes; empty: an administrator has registered it.
	RegisteredBy string
	// RegistrationTokenHash is what [HashSecret] makes of the token with which the client manages its registration (RFC 7592);
	// empty: it cannot.
	RegistrationTokenHash string
	// Trust makes the client a rule about an issuer, which is not a client otherwise; nil: it is a client.
	Trust *Trust
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

// StatusAt is what a client may do at a time.
func (c *Client) StatusAt(now time.Time) Status {
	if c.Status == Active && !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt) {
		return Expired
	}
	return c.Status
}

// clientMembers are the members of a client's JSON form that can be written, in the order in which they are shown: their names,
// those of RFC 7591 §2 where that has one, and their fields. client_id can be written once.
var clientMembers = []member{
	text("client_id", func(c *Client) *string { return &c.ID }),
	text("client_name", func(c *Client) *string { return &c.Name }),
	text("owner", func(c *Client) *string { return &c.Owner }),
	text("status", func(c *Client) *string { return (*string)(&c.Status) }),
	words("scope", func(c *Client) *[]string { return &c.Scope }),
	list("audience", func(c *Client) *[]string { return &c.Audience }),
	list("introspects", func(c *Client) *[]string { return &c.Introspects }),
	list("grant_types", func(c *Client) *[]string { return &c.GrantTypes }),
	list("response_types", func(c *Client) *[]string { return &c.ResponseTypes }),
	list("redirect_uris", func(c *Client) *[]string { return &c.RedirectURIs }),
	text("token_endpoint_auth_method", func(c *Client) *string { return &c.TokenEndpointAuthMethod }),
	optional("token_endpoint_auth_signing_alg", func(c *Client) *string { return &c.TokenEndpointAuthSigningAlg }),
	keys("jwks", func(c *Client) **jose.JSONWebKeySet { return &c.JWKS }),
	optional("jwks_uri", func(c *Client) *string { return &c.JWKSURI }),
	optional("assertion_issuer", func(c *Client) *string { return &c.AssertionIssuer }),
	optional("assertion_subject", func(c *Client) *string { return &c.AssertionSubject }),
	flag("assertion_reusable", func(c *Client) *bool { return &c.AssertionReusable }),
	seconds("access_token_lifespan", func(c *Client) *time.Duration { return &c.AccessTokenLifespan }),
	instant("expires_at", func(c *Client) *time.Time { return &c.ExpiresAt }),
	object("metadata", func(c *Client) *json.RawMessage { return &c.Metadata }),
}

// shownOnly are the members that a client is shown with and that cannot be written, and those that are about its first secret.
var shownOnly = []string{
	"client_secret", "client_secret_id", "client_secret_expires_at", "client_id_issued_at", "created_at", "updated_at", "last_used_at",
	"registered_by", "secret_expires_at", "secret_expires_in",
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
