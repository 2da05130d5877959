package provider

import (
	"context"
	"slices"

	"github.com/ory/fosite"
)

// introspectedFor is the key of the resources ([]string) that an introspection is asked for. It is of fosite's type and not
// of ours, so that package handlers sets it without importing this one: see handlers.IntrospectedFor.
const introspectedFor = fosite.ContextKey("introspected_for")

// ForResources names the resources that the caller of an introspection speaks for. The answer is then about these alone: a
// token that is for none of them is inactive. Without it the answer is about the token's whole audience. The introspection
// endpoint of package handlers does so for its callers; who calls IntrospectToken for one resource does it here.
func ForResources(ctx context.Context, resources ...string) context.Context {
	return context.WithValue(ctx, introspectedFor, resources)
}

// served are the resources of audience that the answer is about; ok is false when the caller speaks for none of them.
func served(ctx context.Context, audience []string) (resources []string, ok bool) {
	asked, restricted := ctx.Value(introspectedFor).([]string)
	if !restricted {
		return audience, true
	}
	resources = keep(audience, func(resource string) bool { return slices.Contains(asked, resource) })
	return resources, len(resources) > 0
}

var (
	errNotTheirs = fosite.ErrInactiveToken.WithDebug("the token is for no resource of the caller")
	errAllGone   = fosite.ErrInactiveToken.WithDebug("nothing is left of the token's scope or audience")
)

// narrow leaves of token what counts today ([Resources.Narrow]), its scopes as far as the resources understand them that
// the answer is about. A token of which nothing is left is inactive: resource servers look at scopes only as far as they
// have some to look for, so that a token without any would pass for one that allows everything. The same token may well be
// active for another resource, and will be again when its client gets back what it has lost.
func (h *hookHandler) narrow(ctx context.Context, token fosite.AccessRequester) error {
	scopes, audience := []string(token.GetGrantedScopes()), []string(token.GetGrantedAudience())
	resources, err := h.resources.current(ctx)
	if err != nil {
		return err
	}
	leftScopes, leftAudience := scopes, audience
	if client := token.GetClient(); !onlyNamed(client) {
		leftScopes, leftAudience = resources.narrow(client, scopes, audience,
			strategies{h.config.GetScopeStrategy(ctx), h.config.GetAudienceStrategy(ctx)})
	}
	if lost(leftAudience, audience) {
		return errAllGone
	}
	theirs, ok := served(ctx, leftAudience)
	if !ok {
		return errNotTheirs
	}
	leftScopes = keep(leftScopes, func(scope string) bool { return resources.understood(theirs, scope) })
	if lost(leftScopes, scopes) {
		return errAllGone
	}
	if len(leftScopes) == len(scopes) && len(leftAudience) == len(audience) {
		return nil
	}
	request, ok := token.(*fosite.AccessRequest)
	if !ok {
		return fosite.ErrMisconfiguration.WithDebugf("the scopes of a %T cannot be narrowed", token)
	}
	request.GrantedScope, request.GrantedAudience = leftScopes, leftAudience
	return nil
}

// onlyNamed tells that all that is known of a client is its name: that is what fosite's stateless validator makes of a JWT.
// No client that is registered looks like that, not even after it has lost everything: it has a secret, or is public.
func onlyNamed(client fosite.Client) bool {
	c, ok := client.(*fosite.DefaultClient)
	return ok && !c.Public && len(c.Secret) == 0 && len(c.RotatedSecrets) == 0 &&
		len(c.Scopes) == 0 && len(c.Audience) == 0 && len(c.RedirectURIs) == 0 && len(c.GrantTypes) == 0 && len(c.ResponseTypes) == 0
}
