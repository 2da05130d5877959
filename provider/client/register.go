package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fosite-mcp/provider/client/strictjson"
)

// New makes a client of what a registration says (RFC 7591 §2), as [strictjson.Decode] returns it. What it leaves out gets
// its default. The error is a [strictjson.Mistakes].
func (r Rules) New(body map[string]any) (*Client, error) {
	var m strictjson.Mistakes
	refuseUnwritable(body, "client_id", MemberNames(), &m)
	document, _ := strictjson.Merge(nil, body).(map[string]any) // null is the same as left out
	c := &Client{Status: Active}
	r.fill(c, document, &m)
	if _, named := document["client_id"]; named {
		checkID("/client_id", c.ID, &m)
	}
	m.AddNew(r.Check(c), nil)
	return c, m.Err()
}

// Change applies a merge patch to a client. One that has registered itself cannot manage that any more: it would undo the patch.
// What a metadata document says cannot be patched. What was wrong with the client before may stay so; the patch must not add to
// it. The error is a [strictjson.Mistakes].
func (r Rules) Change(c *Client, patch map[string]any) (*Client, error) {
	var m strictjson.Mistakes
	names := namesOf(c.members())
	refuseUnwritable(patch, names[0], names[1:], &m)
	if c.RegisteredBy == MetadataDocument {
		for _, name := range understood {
			if _, named := patch[name]; named && !m.At("/"+name) {
				m.Add("/"+name, "read_only", "is what the client's metadata document says; change it there, or disable the client")
			}
		}
	}
	before, err := c.document()
	if err != nil {
		return nil, err
	}
	after, _ := strictjson.Merge(before, patch).(map[string]any)
	after[names[0]] = before[names[0]] // the id
	if _, chosen := patch["response_types"]; !chosen && patch["grant_types"] != nil {
		delete(after, "response_types") // they follow from the grant types
	}
	changed := &Client{
		ID: c.ID, Status: Active, Secrets: c.Secrets, Epoch: c.Epoch, RevokedBefore: c.RevokedBefore, Version: c.Version,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, LastUsedAt: c.LastUsedAt,
		RegisteredBy: c.RegisteredBy,
	}
	if c.Trust != nil {
		changed.Trust = &Trust{Profile: Workload}
	}
	r.fill(changed, after, &m)
	m.AddNew(r.Check(changed), r.Check(c))
	return changed, m.Err()
}

// fill puts the members of a document into c, and defaults in the place of missing ones.
func (r Rules) fill(c *Client, document map[string]any, m *strictjson.Mistakes) {
	if c.Trust != nil {
		r.fillIssuer(c, document, m)
		return
	}
	given := func(name string) bool { return document[name] != nil }
	readMembers(c, document, m)
	if !given("token_endpoint_auth_method") {
		c.TokenEndpointAuthMethod = "client_secret_basic"
	}
	if !given("grant_types") {
		c.GrantTypes = []string{"client_credentials"}
		if c.IsPublic() {
			c.GrantTypes = []string{"authorization_code", "refresh_token"}
		}
	}
	if !given("response_types") {
		c.ResponseTypes = []string{}
		if slices.Contains(c.GrantTypes, "authorization_code") {
			c.ResponseTypes = []string{"code"}
		}
	}
	r.fillScope(c, given("scope"))
	if !given("audience") && r.DefaultResource != "" {
		c.Audience = []string{r.DefaultResource}
	}
}

// readMembers puts the members of a document into c.
func readMembers(c *Client, document map[string]any, m *strictjson.Mistakes) {
	for _, member := range c.members() {
		if document[member.name] != nil {
			member.read(c, strictjson.Member(document, member.name, m))
		}
	}
}

// fillScope gives c the default scope unless it was given one.
func (r Rules) fillScope(c *Client, given bool) {
	if given {
		return
	}
	scope := r.DefaultScope
	if scope == "" && slices.Contains(r.Scopes, "mcp:search") {
		scope = "mcp:search"
	}
	c.Scope = strings.Fields(scope)
}

// refuseUnwritable notes members that are unknown, and those that are only shown, as id is once it is given.
func refuseUnwritable(body map[string]any, id string, writable []string, m *strictjson.Mistakes) {
	unknown := map[string]any{}
	for name, value := range body {
		switch {
		case slices.Contains(shownOnly, name), name == id && !slices.Contains(writable, name):
			m.Add("/"+name, "read_only", "cannot be written; leave it out")
		default:
			unknown[name] = value
		}
	}
	strictjson.RefuseUnknown(unknown, writable, m)
}

// Merge is [Rules.New] or [Rules.Change] with a patch that is JSON, and what an audit event says of it: nil when nothing
// changes. Nothing is stored: it is for programs that write to the store themselves, such as an import. A client that was
// never stored (its Version is 0) is registered, under its ID if it has one; every other one is patched.
func (r Rules) Merge(before *Client, patch []byte) (after *Client, changes json.RawMessage, err error) {
	body, err := strictjson.Decode(patch)
	if mistakes := (strictjson.Mistakes)(nil); errors.As(err, &mistakes) {
		return nil, nil, err
	} else if err != nil {
		return nil, nil, fmt.Errorf("the client %w", err)
	}
	if before.Version > 0 {
		if after, err = r.Change(before, body); err != nil {
			return nil, nil, err
		}
		changes, err = Differences(before, after)
		return after, changes, err
	}
	if after, err = r.New(body); err != nil {
		return nil, nil, err
	}
	after.ID = cmp.Or(before.ID, after.ID)
	changes, err = Differences(nil, after)
	return after, changes, err
}
