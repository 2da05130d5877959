package provider

import (
	"context"
	"slices"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// workloadTerms are those of a machine that proves who it is with an assertion of its platform, and nothing else (SEP-1933 of MCP).
type workloadTerms struct{ grant *jwtBearerGrant }

// workloadTypes are the values of typ that assertions of workloads have. An access token, an identity assertion or a client's
// assertion has another one, and must not be exchanged though the same key has signed it.
var workloadTypes = []string{"", "jwt", "jose", "authorization-grant+jwt"}

// How far ahead an assertion may expire: one of a job's lives as long as the job, and Kubernetes hands out tokens of a day.
const (
	maxSingleUseAhead = 12 * time.Hour
	maxReusableAhead  = 24 * time.Hour
)

func (t *workloadTerms) profile() client.Profile { return client.Workload }

func (t *workloadTerms) check(sent *sentAssertion) (reason string) {
	if !slices.Contains(workloadTypes, sent.typ) {
		return "its typ is that of another kind of JWT"
	}
	return ""
}

func (t *workloadTerms) audiences() (ours []string, alone bool) {
	return t.grant.assertions.audiences, false
}

func (t *workloadTerms) longest(rule *client.Client) time.Duration {
	if rule.Trust.Reusable {
		return maxReusableAhead
	}
	return maxSingleUseAhead
}

func (t *workloadTerms) offer(resources Resources, request fosite.AccessRequester, rule *client.Client) (o offer) {
	o.rule = rule
	if o.audience, o.err = resources.resolve(rule, requestedResources(request.GetRequestForm())); o.err != nil {
		return o
	}
	if o.scopes, o.err = resources.scopes(rule, o.audience, request.GetRequestedScopes()); o.err != nil {
		return o
	}
	// What is named has to be allowed. Then so is what that includes, of which o.scopes are what the resource understands.
	for _, scope := range request.GetRequestedScopes() {
		if !resources.ScopeStrategy(rule.Scope, scope) {
			o.err = fosite.ErrInvalidScope.WithHintf("The rule about the issuer does not allow the scope %q.", scope)
			return o
		}
	}
	return o
}

// accept implements terms: the rule is the token's client.
func (t *workloadTerms) accept(ctx context.Context, access *fosite.AccessRequest, rule *client.Client) time.Duration {
	access.Client = rule.Fosite()
	return t.grant.config.GetAccessTokenLifespan(ctx)
}
