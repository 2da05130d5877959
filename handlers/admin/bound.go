package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"fosite-mcp/provider/client"
)

// mayTouch tells whether the caller may see and change the client.
func (r *request) mayTouch(clientID string) bool {
	return r.caller.Clients == nil || slices.Contains(r.caller.Clients, clientID)
}

// checkWidened keeps a caller who is for single clients from giving these more than they have: whoever has got hold of the
// key would otherwise get tokens for everything with them. Of a rule about an issuer it keeps whom the rule trusts.
func (r *request) checkWidened(before, after *client.Client) error {
	if r.caller.Clients == nil {
		return nil
	}
	noun := r.kind().noun
	p := newProblem(http.StatusForbidden, "forbidden", "Not allowed",
		fmt.Sprintf("A key for single clients may only take from the %s what errors lists. Use a key that is for all clients.", noun))
	audience := "audience"
	if before.Trust != nil {
		audience = "resource"
		if err := addWhatIsTrusted(p, before, after); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		name          string
		before, after []string
	}{
		{"scope", before.Scope, after.Scope}, {audience, before.Audience, after.Audience},
		{"introspects", before.Introspects, after.Introspects}, {"grant_types", before.GrantTypes, after.GrantTypes},
	} {
		emptied := len(list.after) == 0 && len(list.before) > 0 // which may mean the default
		if emptied || slices.ContainsFunc(list.after, func(item string) bool { return !slices.Contains(list.before, item) }) {
			p.Errors.Add("/"+list.name, "not_allowed", "holds what the %s did not have, or nothing any more", noun)
		}
	}
	if before.Status != client.Active && after.Status == client.Active { // whoever disabled it may not trust who has the key
		p.Errors.Add("/status", "not_allowed", "was disabled, and is active then")
	}
	if !before.ExpiresAt.IsZero() && (after.ExpiresAt.IsZero() || after.ExpiresAt.After(before.ExpiresAt)) {
		p.Errors.Add("/expires_at", "not_allowed", "is later than it was")
	}
	if mayBeLonger(before.AccessTokenLifespan, after.AccessTokenLifespan) {
		p.Errors.Add("/access_token_lifespan", "not_allowed", "is longer than it was, or cannot be compared with the server's")
	}
	if p.Errors == nil {
		return nil
	}
	return p
}

// mayBeLonger compares lifespans, of which 0 is the server's.
func mayBeLonger(before, after time.Duration) bool {
	return before != after && (before == 0 || after == 0 || after > before)
}

// trusting are the members of a rule that say whose assertions it trusts, and how often each counts.
var trusting = []string{"profile", "issuer", "jwks", "jwks_uri", "audience", "subject", "claims", "reusable"}

// addWhatIsTrusted adds the members that make a rule trust others: with keys of one's own there, a rule gives tokens in the name
// of anybody.
func addWhatIsTrusted(p *problem, before, after *client.Client) error {
	encoded, err := client.Differences(before, after)
	if err != nil || encoded == nil {
		return err
	}
	var changed map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &changed); err != nil {
		return fmt.Errorf("admin: compare a rule with what it becomes: %w", err)
	}
	for _, name := range trusting {
		if changed[name] != nil {
			p.Errors.Add("/"+name, "not_allowed", "says whom the %s trusts", ofIssuers.noun)
		}
	}
	return nil
}
