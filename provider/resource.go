package provider

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// ErrInvalidTarget is RFC 8707 §2's invalid_target.
var ErrInvalidTarget = &fosite.RFC6749Error{
	ErrorField:       "invalid_target",
	DescriptionField: "The requested resource is invalid, missing, unknown, or malformed.",
	CodeField:        400,
}

// Resources are the identifiers of the resource servers that tokens may be for (RFC 8707), and which scopes each of them
// understands. The zero value leaves that to the clients: a token may be for whatever audience its client is registered for,
// with every scope that the client has. Give the same Resources to [Grants], [AuthorizePolicy] and [MCPSearchFactory].
type Resources struct {
	// Known holds the registered identifiers. They are compared byte by byte: a prefix or a normalised form is
	// another resource.
	Known []string
	// Default is used when a client names no resource.
	Default string
	// Scopes holds, by identifier, the scopes that a resource understands. One without a list understands every scope.
	Scopes map[string][]string
	// Includes holds, by scope, the scopes that it includes, and these include others in turn. A client that is registered for a
	// scope may ask for each of them, and a token with the scope has them as well, as far as its resources understand them.
	// A host that composes grants itself sets fosite.Config.ScopeStrategy to [Resources.ScopeStrategy], after [Harden]. [New] takes
	// Options.Scopes where it is nil.
	Includes map[string][]string
	// Source, when set, is asked at each request for the Resources of that moment, in place of Known, Default and Scopes:
	// a host's own table, for instance; Includes stay. None in it means that there are none, and ends what was granted for them; so return an error while your table is not
	// loaded. Its error is an outage (503). It runs on the
	// way of each token and each introspection, so keep what it answers for some seconds.
	Source func(ctx context.Context) (Resources, error)
}

// current is r, or what its Source says now.
func (r Resources) current(ctx context.Context) (Resources, error) {
	if r.Source == nil {
		return r, nil
	}
	now, err := r.Source(ctx)
	if err != nil {
		return Resources{}, unavailable(err)
	}
	now.Source, now.Includes = r.Source, r.Includes // Source, so that none is none
	return now, nil
}

// listed tells whether these resources are all that there are. Otherwise clients say by their audience what there is.
func (r Resources) listed() bool { return len(r.Known) > 0 || r.Source != nil }

// find returns the form in known of a requested resource. The one liberty: a bare origin may carry a slash, because URL
// libraries add one.
func find(known []string, requested string) (string, bool) {
	if slices.Contains(known, requested) {
		return requested, true
	}
	for _, known := range known {
		if requested == known+"/" && isBareOrigin(known) || known == requested+"/" && isBareOrigin(requested) {
			return known, true
		}
	}
	return "", false
}

// unknown tells whether an identifier that was granted once is no longer one of ours.
func (r Resources) unknown(identifier string) bool {
	return r.listed() && !slices.Contains(r.Known, identifier)
}

// requestedResources are the resources that a request names (RFC 8707 §2), and its audiences, which is how clients
// asked before there was a standard. An empty parameter counts as none (RFC 6749 §3.1).
func requestedResources(form url.Values) []string {
	named := slices.DeleteFunc(slices.Clone(form["resource"]), func(s string) bool { return s == "" })
	return append(named, fosite.GetAudiences(form)...)
}

func isBareOrigin(identifier string) bool {
	u, err := url.Parse(identifier)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Path == "" && u.RawQuery == "" && !strings.Contains(identifier, "#")
}

// resolve turns the requested resources into the audience of the token: all of them registered, all of them open to
// the client. None requested means the default resource, or the client's first one where it may not use that.
func (r Resources) resolve(client fosite.Client, requested []string) ([]string, error) {
	if len(requested) == 0 {
		audience := r.defaultFor(client)
		if len(client.GetAudience()) == 0 && r.listed() {
			return nil, ErrInvalidTarget.WithHint("The client is registered for no resource; give it an audience.")
		}
		if len(audience) == 0 && r.listed() { // a token for nothing would be dead from the start
			return nil, ErrInvalidTarget.WithHint("None of the resources that the client is registered for exists here; change its audience.")
		}
		return audience, nil
	}
	exist := r.Known
	if !r.listed() {
		exist = client.GetAudience()
	}
	var audience []string
	for _, identifier := range requested {
		known, ok := find(exist, identifier)
		if !ok {
			return nil, ErrInvalidTarget.WithHintf("The resource %q is not known here; use one of the registered identifiers, byte by byte.", identifier)
		}
		if !slices.Contains(client.GetAudience(), known) {
			return nil, ErrInvalidTarget.WithHintf("The client may not request tokens for the resource %q.", identifier)
		}
		if !slices.Contains(audience, known) {
			audience = append(audience, known)
		}
	}
	return audience, nil
}

// Grant grants to request the audience that its parameter resource asks for (RFC 8707), or the default: for an authorization
// endpoint of a host's own, which calls it once the person has consented. It returns [ErrInvalidTarget] for a resource
// that the client may not have, and an outage of Source as it is.
func (r Resources) Grant(ctx context.Context, request fosite.Requester) error {
	resources, err := r.current(ctx)
	if err != nil {
		return err
	}
	audience, err := resources.resolve(request.GetClient(), requestedResources(request.GetRequestForm()))
	if err != nil {
		return err
	}
	request.SetRequestedAudience(audience)
	grantAll(request, nil, audience)
	return nil
}

func (r Resources) defaultFor(client fosite.Client) []string {
	allowed := client.GetAudience()
	if at := slices.Index(allowed, r.Default); at >= 0 && r.Default != "" && !r.unknown(r.Default) {
		return allowed[at : at+1 : at+1]
	}
	for at, identifier := range allowed {
		if !r.unknown(identifier) {
			return allowed[at : at+1 : at+1]
		}
	}
	return nil
}

// exactAudience is a [fosite.AudienceMatchingStrategy]: an audience is allowed when the client lists it byte by byte.
// fosite's own matches by path prefix and ignores query, fragment and user info.
func exactAudience(allowed, requested []string) error {
	for _, audience := range requested {
		if !slices.Contains(allowed, audience) {
			return ErrInvalidTarget.WithHintf("The client may not request tokens for the audience %q.", audience)
		}
	}
	return nil
}

// understood tells whether a scope means anything to one of the resources in audience. A token without an audience is for
// none of the resources, which then have no say.
func (r Resources) understood(audience []string, scope string) bool {
	return len(audience) == 0 || slices.ContainsFunc(audience, func(resource string) bool {
		scopes := r.Scopes[resource]
		return !r.unknown(resource) && (len(scopes) == 0 || slices.Contains(scopes, scope))
	})
}

// included are scopes and what they include, each once.
func (r Resources) included(scopes []string) []string {
	if len(r.Includes) == 0 {
		return scopes
	}
	all := slices.Clone(scopes)
	for i := 0; i < len(all); i++ {
		for _, scope := range r.Includes[all[i]] {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return all
}

// ScopeStrategy is a [fosite.ScopeStrategy]: a scope is allowed when a client lists it, or one that includes it, byte by byte.
func (r Resources) ScopeStrategy(allowed []string, scope string) bool {
	return slices.Contains(r.included(allowed), scope)
}

// scopes turns the requested scopes into those of a token for audience, with those that they include. None requested means those of
// the client's that the resources understand (RFC 6749 §3.3). Whether the client may have what it asks for is checked elsewhere.
func (r Resources) scopes(client fosite.Client, audience, requested []string) ([]string, error) {
	meaningful := func(scope string) bool { return r.understood(audience, scope) }
	if len(requested) > 0 {
		if err := r.checkScopes(audience, requested); err != nil {
			return nil, err
		}
		return keep(r.included(requested), meaningful), nil
	}
	registered := client.GetScopes()
	scopes := keep(r.included(registered), meaningful)
	if len(scopes) == 0 && len(registered) > 0 {
		return nil, fosite.ErrInvalidScope.WithHintf("None of the client's scopes means anything to the resource %s; name another resource, or change the client's scope.",
			strings.Join(audience, " "))
	}
	return scopes, nil
}

// checkScopes refuses a scope of which none of the resources in audience understands anything.
func (r Resources) checkScopes(audience, scopes []string) error {
	for _, scope := range scopes {
		if !slices.ContainsFunc(r.included([]string{scope}), func(s string) bool { return r.understood(audience, s) }) {
			return fosite.ErrInvalidScope.WithHintf("The scope %q means nothing to the resource %s; leave it out, or name a resource that understands it.",
				scope, strings.Join(audience, " "))
		}
	}
	return nil
}

// Narrow returns what is left today of the scopes and the audience of a token or a grant: what its client is still
// registered for, at resources that still exist, and which these understand. Where nothing is left of what there was, the
// token counts no more. It does not ask Source: with one, call it on what that answers.
func (r Resources) Narrow(client fosite.Client, scopes, audience []string) (leftScopes, leftAudience []string) {
	return r.narrow(client, scopes, audience, strategies{r.ScopeStrategy, exactAudience})
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
