package admin

import (
	"slices"

	"fosite-mcp/provider/client"
)

// newClient makes a client of what a registration says (RFC 7591 §2); what it leaves out gets its default.
func (a *api) newClient(body map[string]any) (*client.Client, error) {
	var m mistakes
	refuseUnwritable(body, memberNames(), &m)
	document, _ := mergePatch(nil, body).(map[string]any) // null is the same as left out
	c := &client.Client{Status: client.Active}
	a.fill(c, document, &m)
	if id, named := document["client_id"]; named && !m.at("/client_id") && !clientID.MatchString(c.ID) {
		m.add("/client_id", "invalid", "must be 1 to 64 letters, digits and _ (anything else is encoded differently by different programs), not %s", shown(id.(string)))
	}
	m.addNew(a.check(c), nil)
	return c, m.err()
}

// changedClient applies a merge patch to a client. What was wrong with it before may stay so; the patch must not add
// to it.
func (a *api) changedClient(c *client.Client, patch map[string]any) (*client.Client, error) {
	var m mistakes
	refuseUnwritable(patch, memberNames()[1:], &m)
	before, err := document(c)
	if err != nil {
		return nil, err
	}
	after, _ := mergePatch(before, patch).(map[string]any)
	after["client_id"] = before["client_id"]
	if _, chosen := patch["response_types"]; !chosen && patch["grant_types"] != nil {
		delete(after, "response_types") // they follow from the grant types
	}
	changed := &client.Client{
		ID: c.ID, Status: client.Active, Secrets: c.Secrets, Epoch: c.Epoch, RevokedBefore: c.RevokedBefore, Version: c.Version,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, LastUsedAt: c.LastUsedAt,
	}
	a.fill(changed, after, &m)
	m.addNew(a.check(changed), a.check(c))
	return changed, m.err()
}

// fill puts the members of a document into c, and defaults in the place of missing ones.
func (a *api) fill(c *client.Client, document map[string]any, m *mistakes) {
	for _, member := range members {
		if v, given := document[member.name]; given {
			member.decode(c, value{v, "/" + member.name, m})
		}
	}
	given := func(name string) bool { return document[name] != nil }
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
	if !given("scope") {
		value{a.DefaultScope, "/scope", m}.words(&c.Scope)
	}
	if !given("audience") && a.DefaultResource != "" {
		c.Audience = []string{a.DefaultResource}
	}
}

// refuseUnwritable notes members that are unknown, and those that are only shown.
func refuseUnwritable(body map[string]any, writable []string, m *mistakes) {
	unknown := map[string]any{}
	for name, value := range body {
		switch {
		case slices.Contains(shownOnly, name), name == "client_id" && !slices.Contains(writable, name):
			m.add("/"+name, "read_only", "cannot be written; leave it out")
		default:
			unknown[name] = value
		}
	}
	refuseUnknown(unknown, writable, m)
}

// addNew adds the mistakes that were not there before, and none where the type is wrong already.
func (m *mistakes) addNew(found, before mistakes) {
	typed := slices.Clone(*m)
	for _, mistake := range found {
		if !slices.Contains(before, mistake) && !typed.at(mistake.Pointer) {
			*m = append(*m, mistake)
		}
	}
}
