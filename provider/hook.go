package provider

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"fosite-mcp/internal/logonce"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
)

// An IntrospectionHook looks at an access token that the core validator has found valid, before anybody is told. Its scopes
// and its audience are what is left of them today, see [Resources.Narrow]; the scopes are those of the resources that the
// answer is for, see [ForResources].
// It may add what introspection answers ([AddClaim]), or refuse the token by returning [fosite.ErrInactiveToken]. Any other
// error is an outage (503), never "inactive".
type IntrospectionHook func(ctx context.Context, token fosite.AccessRequester) error

// HookFactory adds hooks to a composition, in their order. Put it after compose.OAuth2TokenIntrospectionFactory and all other
// validators, and use it once: a second one panics, as fosite would drop it without a word.
func HookFactory(hooks ...IntrospectionHook) compose.Factory {
	return hookFactory(Resources{}, hooks...)
}

func hookFactory(resources Resources, hooks ...IntrospectionHook) compose.Factory {
	return func(config fosite.Configurator, _, _ any) any {
		return composed(config, "HookFactory", &hookHandler{config: config, resources: resources, hooks: hooks}, nil)
	}
}

type hookHandler struct {
	placed
	config    fosite.Configurator
	resources Resources
	hooks     []IntrospectionHook
	told      logonce.Set // clients whose tokens have lost their resources
}

// IntrospectToken implements [fosite.TokenIntrospector]: it asks the hooks. It never returns a nil error: that would erase what
// the core validator has said about the token's use.
func (h *hookHandler) IntrospectToken(ctx context.Context, _ string, _ fosite.TokenUse, token fosite.AccessRequester, needed []string) (fosite.TokenUse, error) {
	if err := h.CheckComposition(); err != nil {
		return "", err
	}
	if token.GetClient() == nil || token.GetClient().GetID() == "" && len(token.GetGrantedScopes()) == 0 {
		return "", errNobodysToken
	}
	if err := h.narrow(ctx, token); err != nil {
		return "", err
	}
	for _, scope := range needed { // the core validator has found them among what was granted once
		if scope != "" && !h.config.GetScopeStrategy(ctx)(token.GetGrantedScopes(), scope) {
			return "", fosite.ErrInvalidScope.WithHintf("The token does not allow the scope %q any more, or not here.", scope)
		}
	}
	for _, hook := range h.hooks {
		if err := asStored(ctx, hook, token); err != nil {
			return "", err
		}
	}
	return "", fosite.ErrUnknownRequest
}

// errNobodysToken is said of what no validator knows, and of a JWT without client and scope, such as an ID token, which
// fosite's stateless validator lets pass.
var errNobodysToken = fosite.ErrInactiveToken.WithDebug("the token has no client and no scope")

// Scope is what an MCP scope means.
type Scope struct {
	Description string   // for people who are asked to consent
	Tools       []string // MCP tools that it allows
	Includes    []string // other scopes that a token with this one has as well, see [Resources]
}

// Scopes maps the name of a scope to its meaning.
type Scopes map[string]Scope

// DefaultScopes is the MCP search scope: mcp:search allows the tools search and get_page.
func DefaultScopes() Scopes {
	return Scopes{"mcp:search": {Description: "Search the documentation and read its pages", Tools: []string{"search", "get_page"}}}
}

// includes are those of [Resources].
func (s Scopes) includes() map[string][]string {
	all := make(map[string][]string)
	for name, scope := range s {
		if len(scope.Includes) > 0 {
			all[name] = scope.Includes
		}
	}
	return all
}

// tools lists what the granted scopes allow, in the order of the scopes.
func (s Scopes) tools(granted []string) []string {
	var tools []string
	for _, scope := range granted {
		tools = slices.Grow(tools, len(s[scope].Tools))
		for _, tool := range s[scope].Tools {
			if !slices.Contains(tools, tool) {
				tools = append(tools, tool)
			}
		}
	}
	return tools
}

// MCPClaim is the member mcp of an introspection answer.
type MCPClaim struct {
	Resource any      `json:"resource"` // a string; a []string where the answer is for several resources
	Tools    []string `json:"tools"`
}

// MCPSearchHook is the introspection hook of the MCP scopes. A token that allows no tool is left alone. One that
// does must be for a resource, and its client must not be disabled; then its answer gets the member mcp. The log
// (slog.Default) names, once, each client whose tokens are inactive because they are for no resource.
func MCPSearchHook(scopes Scopes) IntrospectionHook {
	var told logonce.Set
	return func(ctx context.Context, token fosite.AccessRequester) error {
		tools := scopes.tools(token.GetGrantedScopes())
		if len(tools) == 0 {
			return nil
		}
		if len(token.GetGrantedAudience()) == 0 {
			if id := token.GetClient().GetID(); told.First(id) {
				slog.WarnContext(ctx, "a token for MCP tools is inactive because it has no audience; register the client with an audience, and compose the grants of package provider, which turn the parameter resource into one", "client_id", id)
			}
			return fosite.ErrInactiveToken.WithDebug("a token for MCP tools has no audience")
		}
		if d, ok := token.GetClient().(ClientWithStatus); ok && d.IsDisabled() {
			return fosite.ErrInactiveToken.WithDebug("the client is disabled")
		}
		resources, ok := served(ctx, token.GetGrantedAudience())
		if !ok {
			return errNotTheirs
		}
		claim := MCPClaim{Tools: tools}
		if len(resources) == 1 {
			claim.Resource = resources[0]
		} else {
			claim.Resource = resources
		}
		AddClaim(token, "mcp", claim)
		return nil
	}
}

// MCPSearchFactory adds [MCPSearchHook] to a composition, after compose.OAuth2TokenIntrospectionFactory. It may stand
// beside a [HookFactory]. resources are those of [Grants]; without them every resource understands every scope.
func MCPSearchFactory(scopes Scopes, resources ...Resources) compose.Factory {
	var known Resources
	if len(resources) > 0 {
		known = resources[0]
	}
	return func(config fosite.Configurator, _, _ any) any {
		h := &mcpSearchHandler{&hookHandler{config: config, resources: known, hooks: []IntrospectionHook{MCPSearchHook(scopes)}}}
		return composed(config, "MCPSearchFactory", h, nil)
	}
}

// mcpSearchHandler is a type of its own so that fosite tells it from a hookHandler.
type mcpSearchHandler struct{ *hookHandler }

// GroupsHook is the introspection hook that leaves out the groups of a person when they were looked up longer than maxAge
// ago (0: it leaves out none). Give the same to [Grants], whose tokens end with the groups in them: the hook is for those
// that were issued when groups counted longer.
func GroupsHook(maxAge time.Duration, now func() time.Time) IntrospectionHook {
	return func(_ context.Context, token fosite.AccessRequester) error {
		if session := SessionOf(token); groupsEnded(session, maxAge, clock(now)) { // another hook may call this one
			session.(SessionWithGroupsEnd).DropGroups()
		}
		return nil
	}
}

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
		if id := token.GetClient().GetID(); h.told.First(id) {
			slog.WarnContext(ctx, "a token is inactive because the hook knows none of its resources, or its client has lost them; give the grants and the hook the same provider.Resources", "client_id", id)
		}
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
