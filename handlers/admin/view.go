package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fosite-mcp/provider/client"

	"github.com/go-jose/go-jose/v3"
)

// clientView is a client as the API shows it. Members that are not set are null, never left out, except for the first
// four, which only the answer to a registration has.
type clientView struct {
	ClientSecret          string `json:"client_secret,omitempty"`
	ClientSecretID        string `json:"client_secret_id,omitempty"`
	ClientSecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"` // RFC 7591 §3.2.1: 0 is never
	ClientIDIssuedAt      int64  `json:"client_id_issued_at,omitempty"`

	ClientID      string              `json:"client_id"`
	ClientName    string              `json:"client_name"`
	Owner         string              `json:"owner"`
	Status        client.Status       `json:"status"`
	Scope         string              `json:"scope"`
	Audience      []string            `json:"audience"`
	Introspects   []string            `json:"introspects"`
	GrantTypes    []string            `json:"grant_types"`
	ResponseTypes []string            `json:"response_types"`
	RedirectURIs  []string            `json:"redirect_uris"`
	AuthMethod    string              `json:"token_endpoint_auth_method"`
	SigningAlg    *string             `json:"token_endpoint_auth_signing_alg"`
	JWKS          *jose.JSONWebKeySet `json:"jwks"`
	JWKSURI       *string             `json:"jwks_uri"`
	Lifespan      *int64              `json:"access_token_lifespan"` // seconds
	ExpiresAt     *instant            `json:"expires_at"`
	Metadata      json.RawMessage     `json:"metadata"`
	CreatedAt     *instant            `json:"created_at"`
	UpdatedAt     *instant            `json:"updated_at"`
	LastUsedAt    *instant            `json:"last_used_at"`
}

func viewOf(c *client.Client) *clientView {
	v := &clientView{
		ClientID: c.ID, ClientName: c.Name, Owner: c.Owner, Status: c.Status, Scope: strings.Join(c.Scope, " "),
		Audience: listOf(c.Audience), Introspects: listOf(c.Introspects), GrantTypes: listOf(c.GrantTypes),
		ResponseTypes: listOf(c.ResponseTypes), RedirectURIs: listOf(c.RedirectURIs), AuthMethod: c.TokenEndpointAuthMethod,
		SigningAlg: textOf(c.TokenEndpointAuthSigningAlg), JWKS: c.JWKS, JWKSURI: textOf(c.JWKSURI),
		ExpiresAt: instantOf(c.ExpiresAt), Metadata: c.Metadata,
		CreatedAt: instantOf(c.CreatedAt), UpdatedAt: instantOf(c.UpdatedAt), LastUsedAt: instantOf(c.LastUsedAt),
	}
	if c.AccessTokenLifespan > 0 {
		seconds := int64(c.AccessTokenLifespan / time.Second)
		v.Lifespan = &seconds
	}
	if len(v.Metadata) == 0 {
		v.Metadata = json.RawMessage("{}")
	}
	return v
}

// document is the client as the members that can be written.
func document(c *client.Client) (map[string]any, error) {
	encoded, err := json.Marshal(viewOf(c))
	if err != nil {
		return nil, fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("encode client %s: %w", c.ID, err)
	}
	writable := map[string]any{}
	for _, member := range members {
		if value := all[member.name]; value != nil {
			writable[member.name] = value
		}
	}
	return writable, nil
}

// instant is a time as the API shows it: RFC 3339, UTC, milliseconds.
type instant time.Time

func instantOf(t time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	return (*instant)(&t)
}

// MarshalJSON implements [json.Marshaler].
func (t instant) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

func (t instant) String() string { return time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z") }

func listOf(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func textOf(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// differences are the members in which two documents differ, as audit events tell them: {"owner":{"before":…,"after":…}}.
func differences(before, after map[string]any) (json.RawMessage, error) {
	type change struct {
		Before any `json:"before"`
		After  any `json:"after"`
	}
	changes := map[string]change{}
	for _, member := range members {
		old, err := json.Marshal(before[member.name])
		if err != nil {
			return nil, err
		}
		now, err := json.Marshal(after[member.name])
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(old, now) {
			changes[member.name] = change{json.RawMessage(old), json.RawMessage(now)}
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return json.Marshal(changes)
}
