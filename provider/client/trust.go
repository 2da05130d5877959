package client

import (
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v3"
)

// JWTBearer is the grant of RFC 7523 §2.1: an assertion of a trusted issuer for an access token.
const JWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// A Profile says whose assertions a rule is about.
type Profile string

const (
	// Workload is a machine that proves who it is with the assertion alone.
	Workload Profile = "workload"
	// IDJAG is a person whose enterprise lets one of our clients act for them (draft-ietf-oauth-identity-assertion-authz-grant).
	IDJAG Profile = "id-jag"
)

// Trust makes a client a rule about an issuer: whose assertions are exchanged for tokens. The client's scope, audience, lifespan
// and keys are then those of the rule. A rule is stored as a client so that its tokens end with it, as those of a client do. It
// is none otherwise: it cannot authenticate, and no list of clients has it.
type Trust struct {
	Profile  Profile  `json:"profile"`
	Issuer   string   `json:"-"` // iss, byte by byte
	Audience []string `json:"audience,omitempty"`
	// Subject and Claims say which assertions the rule is for, see [Pattern]. Empty: any.
	Subject string          `json:"subject,omitempty"`
	Claims  json.RawMessage `json:"claims,omitempty"` // an object
	// Reusable accepts an assertion more than once, until it expires.
	Reusable bool `json:"reusable,omitempty"`
}

// issuerMembers are the members of a rule's JSON form that can be written. id can be written once.
var issuerMembers = []member{
	text("id", func(c *Client) *string { return &c.ID }),
	text("name", func(c *Client) *string { return &c.Name }),
	text("owner", func(c *Client) *string { return &c.Owner }),
	text("status", func(c *Client) *string { return (*string)(&c.Status) }),
	text("profile", func(c *Client) *string { return (*string)(&c.Trust.Profile) }),
	text("issuer", func(c *Client) *string { return &c.Trust.Issuer }),
	keys("jwks", func(c *Client) **jose.JSONWebKeySet { return &c.JWKS }),
	optional("jwks_uri", func(c *Client) *string { return &c.JWKSURI }),
	list("audience", func(c *Client) *[]string { return &c.Trust.Audience }),
	optional("subject", func(c *Client) *string { return &c.Trust.Subject }),
	object("claims", func(c *Client) *json.RawMessage { return &c.Trust.Claims }),
	flag("reusable", func(c *Client) *bool { return &c.Trust.Reusable }),
	words("scope", func(c *Client) *[]string { return &c.Scope }),
	list("resource", func(c *Client) *[]string { return &c.Audience }),
	seconds("access_token_lifespan", func(c *Client) *time.Duration { return &c.AccessTokenLifespan }),
	instant("expires_at", func(c *Client) *time.Time { return &c.ExpiresAt }),
	object("metadata", func(c *Client) *json.RawMessage { return &c.Metadata }),
}

// members are those of the client's JSON form that can be written.
func (c *Client) members() []member {
	if c != nil && c.Trust != nil {
		return issuerMembers
	}
	return clientMembers
}

// IssuerMemberNames are the names of the members of a rule's JSON form that can be written.
func IssuerMemberNames() []string { return namesOf(issuerMembers) }

// IssuerKindOf is the kind of a member of a rule that can be written.
func IssuerKindOf(name string) Kind { return kindOf(issuerMembers, name) }

// TrustsTheSame tells whether two rules accept the same assertions and give the same for them. Where they do not, the tokens of
// the one are not those of the other.
func TrustsTheSame(a, b *Client) (bool, error) {
	old, err := a.document()
	if err != nil {
		return false, err
	}
	now, err := b.document()
	if err != nil {
		return false, err
	}
	decisive := []string{"profile", "issuer", "jwks", "jwks_uri", "audience", "subject", "claims"}
	if a.Trust.Profile == IDJAG { // a workload's tokens follow the rule, which is their client
		decisive = append(decisive, "scope", "resource", "status", "expires_at")
	}
	for _, name := range decisive {
		before, err := json.Marshal(old[name])
		if err != nil {
			return false, err
		}
		after, err := json.Marshal(now[name])
		if err != nil || string(before) != string(after) {
			return false, err
		}
	}
	return true, nil
}
