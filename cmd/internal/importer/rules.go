package importer

import (
	"encoding/json"
	"slices"
	"strings"

	"fosite-mcp/provider/client"
)

// Rules are the server's rules for the clients of the file.
type Rules struct {
	client.Rules
	DropUnknown bool // leave out unknown scopes, resources and grant types, instead of refusing the client
}

// convert takes over the members that are written differently here, or whose empty value means something else here.
func (r Rules) convert(c *imported, in *fileClient, members map[string]json.RawMessage) {
	if in.Scope != nil {
		c.patch["scope"] = strings.Join(r.known(c, "scope", strings.Fields(*in.Scope), r.Scopes), " ")
	}
	if len(in.Audience) > 0 { // Hydra writes [] for every client
		if audience := r.known(c, "audience", in.Audience, r.Resources); len(audience) > 0 {
			c.patch["audience"] = audience
		}
	}
	if len(in.Introspects) > 0 {
		c.patch["introspects"] = r.known(c, "resource", in.Introspects, r.Resources)
	}
	if len(in.GrantTypes) > 0 {
		c.patch["grant_types"] = r.known(c, "grant type", in.GrantTypes, client.GrantTypes())
	}
	for _, t := range in.ResponseTypes { // the server's own follow from the grant types
		if t != "code" {
			c.note("response type %q is left out", t)
		}
	}
	if len(in.JWKS.Keys) > 0 {
		c.patch["jwks"] = members["jwks"]
	}
	if alg := members["token_endpoint_auth_signing_alg"]; in.AuthMethod == "private_key_jwt" && len(alg) > 0 && !isUnset("", alg) {
		c.patch["token_endpoint_auth_signing_alg"] = alg
	}
}

// known drops repeated values. With DropUnknown it also drops values that the server does not offer; without, Merge refuses
// them.
func (r Rules) known(c *imported, what string, values, offered []string) []string {
	kept := []string{}
	for _, value := range values {
		switch {
		case r.DropUnknown && !slices.Contains(offered, value):
			c.note("%s %q is left out", what, value)
		case !slices.Contains(kept, value):
			kept = append(kept, value)
		}
	}
	return kept
}

// applyDefaults sets members of a new client that the file leaves out.
func (r Rules) applyDefaults(c *imported) {
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
	if c.patch["audience"] == nil && r.DefaultResource != "" {
		c.note("%s", r.defaultNote())
	}
}

// replaceAudience gives a stored client the default resource when neither its audience nor the file names a resource of
// these settings: no token could be issued to it.
func (r Rules) replaceAudience(c *imported, before *client.Client) {
	known := func(resource string) bool { return slices.Contains(r.Resources, resource) }
	if c.patch["audience"] != nil || len(before.Audience) == 0 || slices.ContainsFunc(before.Audience, known) || r.DefaultResource == "" {
		return
	}
	c.patch["audience"] = []string{r.DefaultResource}
	c.note("its audience (%s) names no resource in the settings of this shell: %s", strings.Join(before.Audience, " "), r.defaultNote())
}

func (r Rules) defaultNote() string {
	return "its tokens are for " + r.DefaultResource + ", the default resource of this shell's settings"
}
