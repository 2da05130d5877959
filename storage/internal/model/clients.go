package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v3"

	"fosite-mcp/provider/client"
)

type Client struct {
	ID                          string  `gorm:"column:id;primaryKey;index:by_creation,priority:2"`
	Name                        string  `gorm:"column:name;not null;default:''"`
	Owner                       string  `gorm:"column:owner;not null;default:''"`
	Status                      string  `gorm:"column:status;not null;default:'active'"` // active | disabled | deleted
	Scope                       List    `gorm:"column:scope;not null;default:''"`
	Audience                    List    `gorm:"column:audience;not null;default:''"`
	Introspects                 List    `gorm:"column:introspects;not null;default:''"`
	GrantTypes                  List    `gorm:"column:grant_types;not null;default:''"`
	ResponseTypes               List    `gorm:"column:response_types;not null;default:''"`
	RedirectURIs                List    `gorm:"column:redirect_uris;not null;default:''"`
	TokenEndpointAuthMethod     string  `gorm:"column:token_endpoint_auth_method;not null;default:''"`
	TokenEndpointAuthSigningAlg string  `gorm:"column:token_endpoint_auth_signing_alg;not null;default:''"`
	JWKS                        JSON    `gorm:"column:jwks;not null;default:''"`
	JWKSURI                     string  `gorm:"column:jwks_uri;not null;default:''"`
	AssertionIssuer             string  `gorm:"column:assertion_issuer;not null;default:''"`
	AssertionSubject            string  `gorm:"column:assertion_subject;not null;default:''"`
	AssertionReusable           Flag    `gorm:"column:assertion_reusable;type:BIGINT;not null;default:0"`
	AccessTokenLifespan         Seconds `gorm:"column:access_token_lifespan;type:BIGINT;not null;default:0"`          // 0: the server's
	Metadata                    JSON    `gorm:"column:metadata;not null;default:''"`                                  // an object
	RegisteredBy                string  `gorm:"column:registered_by;not null;default:''"`                             // empty: an administrator
	RegistrationToken           string  `gorm:"column:registration_token;not null;default:''"`                        // its hash
	Issuer                      string  `gorm:"column:issuer;not null;default:'';index:by_issuer,where:issuer <> ''"` // of a rule about its assertions; empty: a client
	Trust                       JSON    `gorm:"column:trust;not null;default:''"`                                     // what else the rule says
	Epoch                       int64   `gorm:"column:epoch;type:BIGINT;not null;default:0"`                          // raised to kill every token issued so far
	RevokedBefore               int64   `gorm:"column:revoked_before;type:BIGINT;not null;default:0"`                 // Unix milliseconds; kills tokens issued before
	Version                     int64   `gorm:"column:version;type:BIGINT;not null;default:1"`                        // raised by every change; the ETag
	CreatedAt                   Time    `gorm:"column:created_at;not null;index:by_creation,priority:1;index:unused,where:registered_by <> '' AND last_used_at IS NULL"`
	UpdatedAt                   Time    `gorm:"column:updated_at;not null"`
	ExpiresAt                   Time    `gorm:"column:expires_at"`
	LastUsedAt                  Time    `gorm:"column:last_used_at"`
}

// A Column is a column of a row, and where its value is in the row.
type Column struct {
	Name   string
	Value  any
	Erased bool // when the client is deleted: it may tell of people
}

// Registration is what a client is registered with. It changes together with the version, and only then.
func (row *Client) Registration() []Column {
	return []Column{
		{"name", &row.Name, true},
		{"owner", &row.Owner, true},
		{"scope", &row.Scope, false},
		{"audience", &row.Audience, false},
		{"introspects", &row.Introspects, false},
		{"grant_types", &row.GrantTypes, false},
		{"response_types", &row.ResponseTypes, false},
		{"redirect_uris", &row.RedirectURIs, true},
		{"token_endpoint_auth_method", &row.TokenEndpointAuthMethod, false},
		{"token_endpoint_auth_signing_alg", &row.TokenEndpointAuthSigningAlg, false},
		{"jwks", &row.JWKS, true},
		{"jwks_uri", &row.JWKSURI, true},
		{"assertion_issuer", &row.AssertionIssuer, false},
		{"assertion_subject", &row.AssertionSubject, true},
		{"assertion_reusable", &row.AssertionReusable, false},
		{"access_token_lifespan", &row.AccessTokenLifespan, false},
		{"metadata", &row.Metadata, true},
		{"registered_by", &row.RegisteredBy, false},
		{"registration_token", &row.RegistrationToken, true},
		{"issuer", &row.Issuer, false},
		{"trust", &row.Trust, true},
		{"created_at", &row.CreatedAt, false},
	}
}

// NewClient is the client as it is stored.
func NewClient(c *client.Client) (*Client, error) {
	row := &Client{
		ID: c.ID, Name: c.Name, Owner: c.Owner, Status: string(c.Status), Scope: c.Scope, Audience: c.Audience, Introspects: c.Introspects,
		GrantTypes: c.GrantTypes, ResponseTypes: c.ResponseTypes, RedirectURIs: c.RedirectURIs,
		TokenEndpointAuthMethod: c.TokenEndpointAuthMethod, TokenEndpointAuthSigningAlg: c.TokenEndpointAuthSigningAlg,
		AssertionIssuer: c.AssertionIssuer, AssertionSubject: c.AssertionSubject, AssertionReusable: Flag(c.AssertionReusable),
		JWKSURI: c.JWKSURI, AccessTokenLifespan: Seconds(c.AccessTokenLifespan), Metadata: JSON(c.Metadata),
		RegisteredBy: c.RegisteredBy, RegistrationToken: c.RegistrationTokenHash,
		Version: c.Version, CreatedAt: At(c.CreatedAt), UpdatedAt: At(c.UpdatedAt), ExpiresAt: At(c.ExpiresAt),
	}
	if c.JWKS != nil {
		encoded, err := json.Marshal(c.JWKS)
		if err != nil {
			return nil, fmt.Errorf("storage: encode the jwks of client %s: %w", c.ID, err)
		}
		row.JWKS = encoded
	}
	if c.Trust != nil {
		encoded, err := json.Marshal(c.Trust)
		if err != nil {
			return nil, fmt.Errorf("storage: encode the rule %s: %w", c.ID, err)
		}
		row.Issuer, row.Trust = c.Trust.Issuer, encoded
	}
	return row, nil
}

// Client is the client of a row, without its secrets. It has the lists of the row; whoever appends to one gets a copy.
func (row *Client) Client() (*client.Client, error) {
	c := &client.Client{
		ID: row.ID, Name: row.Name, Owner: row.Owner, Status: client.Status(row.Status), Scope: slices.Clip(row.Scope),
		Audience: slices.Clip(row.Audience), Introspects: slices.Clip(row.Introspects), GrantTypes: slices.Clip(row.GrantTypes),
		ResponseTypes: slices.Clip(row.ResponseTypes), RedirectURIs: slices.Clip(row.RedirectURIs),
		TokenEndpointAuthMethod: row.TokenEndpointAuthMethod, TokenEndpointAuthSigningAlg: row.TokenEndpointAuthSigningAlg,
		AssertionIssuer: row.AssertionIssuer, AssertionSubject: row.AssertionSubject, AssertionReusable: bool(row.AssertionReusable),
		JWKSURI: row.JWKSURI, AccessTokenLifespan: time.Duration(row.AccessTokenLifespan), Metadata: json.RawMessage(slices.Clip(row.Metadata)),
		RegisteredBy: row.RegisteredBy, RegistrationTokenHash: row.RegistrationToken,
		Epoch: row.Epoch, RevokedBefore: RevokedBefore(row.RevokedBefore), Version: row.Version, CreatedAt: row.CreatedAt.Time,
		UpdatedAt: row.UpdatedAt.Time, ExpiresAt: row.ExpiresAt.Time, LastUsedAt: row.LastUsedAt.Time,
	}
	if len(row.JWKS) > 0 {
		c.JWKS = new(jose.JSONWebKeySet)
		if err := json.Unmarshal(row.JWKS, c.JWKS); err != nil {
			return nil, fmt.Errorf("storage: decode the jwks of client %s: %v", c.ID, err) // %v: a corrupt row is an outage, not a malformed token
		}
	}
	if len(row.Trust) > 0 {
		c.Trust = new(client.Trust)
		if err := json.Unmarshal(row.Trust, c.Trust); err != nil {
			return nil, fmt.Errorf("storage: decode the rule %s: %v", c.ID, err)
		}
		c.Trust.Issuer = row.Issuer
	}
	return c, nil
}

// RevokedBefore is the time of a column revoked_before; zero if nothing is revoked.
func RevokedBefore(ms int64) time.Time {
	if ms > 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

type ClientSecret struct {
	ID         string  `gorm:"column:id;primaryKey"`
	ClientID   string  `gorm:"column:client_id;not null;index:by_client;index:slow,where:slow = 1"`
	Client     *Client `gorm:"foreignKey:ClientID;references:ID"`
	Hash       string  `gorm:"column:hash;not null"`                        // empty once deleted
	Hint       string  `gorm:"column:hint;not null;default:''"`             // last four characters
	Epoch      int64   `gorm:"column:epoch;type:BIGINT;not null;default:0"` // raised to kill every token issued with this secret
	CreatedAt  Time    `gorm:"column:created_at;not null"`
	ExpiresAt  Time    `gorm:"column:expires_at"`
	LastUsedAt Time    `gorm:"column:last_used_at"`
	DeletedAt  Time    `gorm:"column:deleted_at"`
	EndsOthers Flag    `gorm:"column:ends_others;type:BIGINT;not null;default:0"` // its first use ends the client's other secrets
	Slow       Flag    `gorm:"column:slow;type:BIGINT;not null;default:0"`        // an imported hash that takes long to compare
}
