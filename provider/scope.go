package provider

import (
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// understands tells whether a scope means anything to a resource.
func (r Resources) understands(resource, scope string) bool {
	if r.unknown(resource) {
		return false
	}
	scopes := r.Scopes[resource]
	return len(scopes) == 0 || slices.Contains(scopes, scope)
}

// understood tells whether a scope means anything to one of the resources in audience. A token without an audience is for
// none of the resources, which then have no say.
func (r Resources) understood(audience []string, scope string) bool {
	return len(audience) == 0 ||
		slices.ContainsFunc(audience, func(resource string) bool { return r.understands(resource, scope) })
}

// scopes turns the requested scopes into those of a token for audience. None requested means those of the client's that the
// resources understand (RFC 6749 §3.3). Whether the client may have what it asks for is checked elsewhere.
func (r Resources) scopes(client fosite.Client, audience, requested []string) ([]string, error) {
	if len(requested) > 0 {
		return requested, r.checkScopes(audience, requested)
	}
	registered := client.GetScopes()
	scopes := keep(registered, func(scope string) bool { return r.understood(audience, scope) })
	if len(scopes) == 0 && len(registered) > 0 {
		return nil, fosite.ErrInvalidScope.WithHintf("None of the client's scopes means anything to the resource %s; name another resource, or change the client's scope.",
			strings.Join(audience, " "))
	}
	return scopes, nil
}

// checkScopes refuses a scope that none of the resources in audience understands.
func (r Resources) checkScopes(audience, scopes []string) error {
	for _, scope := range scopes {
		if !r.understood(audience, scope) {
			return fosite.ErrInvalidScope.WithHintf("The scope %q means nothing to the resource %s; leave it out, or name a resource that understands it.",
				scope, strings.Join(audience, " "))
		}
	}
	return nil
}

// Narrow returns what is left today of the scopes and the audience of a token or a grant: what its client is still
// registered for, at resources that still exist, and which these understand. Where nothing is left of what there was, the
// token counts no more.
func (r Resources) Narrow(client fosite.Client, scopes, audience []string) (leftScopes, leftAudience []string) {
	return r.narrow(client, scopes, audience, strategies{fosite.ExactScopeStrategy, exactAudience})
}

// strategies are a composition's ways to match what a client is registered for.
type strategies struct {
	scope    fosite.ScopeStrategy
	audience fosite.AudienceMatchingStrategy
}

func (r Resources) narrow(client fosite.Client, scopes, audience []string, match strategies) (leftScopes, leftAudience []string) {
	mayHave := match.audience(client.GetAudience(), audience) == nil // usually, and then there is nothing to look for
	leftAudience = keep(audience, func(resource string) bool {
		return !r.unknown(resource) && (mayHave || match.audience(client.GetAudience(), []string{resource}) == nil)
	})
	if lost(leftAudience, audience) {
		return nil, nil
	}
	leftScopes = keep(scopes, func(scope string) bool {
		return match.scope(client.GetScopes(), scope) && r.understood(leftAudience, scope)
	})
	return leftScopes, leftAudience
}

// lost tells that nothing is left of what was granted. Who was granted nothing has lost nothing.
func lost(left, granted []string) bool { return len(left) == 0 && len(granted) > 0 }

// keep returns the entries that are good: the list itself, when all of them are.
func keep(list []string, good func(string) bool) []string {
	bad := func(entry string) bool { return !good(entry) }
	if !slices.ContainsFunc(list, bad) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), bad)
}
