package admin

import (
	"net/http"
	"slices"

	"fosite-mcp/provider/client"
)

// mayTouch tells whether the caller may see and change the client.
func (r *request) mayTouch(clientID string) bool {
	return r.caller.Clients == nil || slices.Contains(r.caller.Clients, clientID)
}

// checkWidened keeps a caller who is for single clients from giving these more than they have: whoever has got hold of the
// key would otherwise get tokens for everything with them.
func (r *request) checkWidened(before, after *client.Client) error {
	if r.caller.Clients == nil {
		return nil
	}
	p := newProblem(http.StatusForbidden, "forbidden", "Not allowed",
		"A key for single clients may only take from a client what errors lists. Use a key that is for all clients.")
	for _, list := range []struct {
		name          string
		before, after []string
	}{
		{"scope", before.Scope, after.Scope}, {"audience", before.Audience, after.Audience},
		{"introspects", before.Introspects, after.Introspects}, {"grant_types", before.GrantTypes, after.GrantTypes},
	} {
		emptied := len(list.after) == 0 && len(list.before) > 0 // which may mean the default
		if emptied || slices.ContainsFunc(list.after, func(item string) bool { return !slices.Contains(list.before, item) }) {
			p.Errors.Add("/"+list.name, "not_allowed", "holds what the client did not have, or nothing any more")
		}
	}
	if !before.ExpiresAt.IsZero() && (after.ExpiresAt.IsZero() || after.ExpiresAt.After(before.ExpiresAt)) {
		p.Errors.Add("/expires_at", "not_allowed", "is later than it was")
	}
	if p.Errors == nil {
		return nil
	}
	return p
}
