package cmd

import (
	"encoding/json"
	"slices"
	"strings"

	"fosite-mcp/provider/client"
)

// importRules are what this server has to offer to a client that comes from somewhere else.
type importRules struct {
	scopes, resources []string
	defaultResource   string // audience of a client that names none; may be empty
	dropUnknown       bool   // leave out what the server does not know, instead of refusing the client
	// merge is what the admin API would make of a registration (before.Version 0) or a patch; see [admin.Server.Merge].
	merge func(before *client.Client, patch []byte) (after *client.Client, changes json.RawMessage, err error)
}

var knownGrants = []string{"authorization_code", "client_credentials", "refresh_token"}

// translate takes over the members that are written differently here, or that mean something else when they are empty.
func (r importRules) translate(c *importedClient, in *foreignClient, members map[string]json.RawMessage) {
	if in.Scope != nil {
		c.patch["scope"] = strings.Join(r.known(c, "scope", strings.Fields(*in.Scope), r.scopes), " ")
	}
	if len(in.Audience) > 0 { // Hydra writes [] for every client
		if audience := r.known(c, "audience", in.Audience, r.resources); len(audience) > 0 {
			c.patch["audience"] = audience
		}
	}
	if len(in.Introspects) > 0 {
		c.patch["introspects"] = r.known(c, "resource", in.Introspects, r.resources)
	}
	if len(in.GrantTypes) > 0 {
		c.patch["grant_types"] = r.known(c, "grant type", in.GrantTypes, knownGrants)
	}
	for _, t := range in.ResponseTypes { // the server's own follow from the grant types
		if t != "code" {
			c.note("response type %q is left out", t)
		}
	}
	if len(in.JWKS.Keys) > 0 {
		c.patch["jwks"] = members["jwks"]
	}
	if alg := members["token_endpoint_auth_signing_alg"]; in.AuthMethod == "private_key_jwt" && len(alg) > 0 && !saysNothing("", alg) {
		c.patch["token_endpoint_auth_signing_alg"] = alg
	}
}

// known drops what is there twice and, where that was asked for, what the server does not know; otherwise the server's
// rules will say so.
func (r importRules) known(c *importedClient, what string, values, offered []string) []string {
	kept := []string{}
	for _, value := range values {
		switch {
		case r.dropUnknown && !slices.Contains(offered, value):
			c.note("%s %q is left out", what, value)
		case !slices.Contains(kept, value):
			kept = append(kept, value)
		}
	}
	return kept
}

// fillIn is what a new client gets where the file says nothing.
func (r importRules) fillIn(c *importedClient) {
	if c.patch["client_name"] == nil {
		c.patch["client_name"] = c.id
		c.note("named after its id")
	}
	if c.patch["grant_types"] == nil {
		c.patch["grant_types"] = []string{"authorization_code"} // RFC 7591 §2
	}
	if scope, given := c.patch["scope"]; given && scope == "" {
		c.note("it has no scope")
	}
	if c.patch["audience"] == nil && r.defaultResource != "" {
		c.note("%s", r.forDefault())
	}
}

// readdress gives a client that is here already the default resource, when its audience names no resource of these
// settings and the file names none either: no token could be issued to it.
func (r importRules) readdress(c *importedClient, before *client.Client) {
	known := func(resource string) bool { return slices.Contains(r.resources, resource) }
	if c.patch["audience"] != nil || len(before.Audience) == 0 || slices.ContainsFunc(before.Audience, known) || r.defaultResource == "" {
		return
	}
	c.patch["audience"] = []string{r.defaultResource}
	c.note("its audience (%s) names no resource in the settings of this shell: %s", strings.Join(before.Audience, " "), r.forDefault())
}

func (r importRules) forDefault() string {
	return "its tokens are for " + r.defaultResource + ", the default resource of this shell's settings"
}
