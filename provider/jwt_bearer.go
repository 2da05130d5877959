package provider

import (
	"context"
	"net/http"
	"reflect"
	"slices"

	"github.com/google/uuid"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/rfc7523"

	"fosite-mcp/provider/client"
)

// JWTBearerFactory makes the handler of the JWT bearer grant (RFC 7523 §2.1), in place of compose.RFC7523AssertionGrantFactory,
// whose handler issues the token. The store must be an [IssuerRuleStore]. The rules of it say whose assertions are exchanged:
//
//   - those of workloads, with the assertion alone and no client. The token is the rule's, which fosite sees as its client;
//   - no refresh token is issued: who can refresh can as well send another assertion.
//
// A composition other than that of [New] has to call [WithoutClient] before fosite's NewAccessRequest.
func JWTBearerFactory(g Grants) compose.Factory {
	return func(config fosite.Configurator, store, strategy any) any {
		ctx := context.Background()
		h := &jwtBearerGrant{
			Handler: &rfc7523.Handler{
				HandleHelper: &oauth2.HandleHelper{
					AccessTokenStrategy: strategy.(oauth2.AccessTokenStrategy), AccessTokenStorage: store.(oauth2.AccessTokenStorage), Config: config,
				},
				Config: config,
			},
			grantRules: grantRules{Grants: g, config: config},
			assertions: &grantAssertions{
				rules: store.(IssuerRuleStore), used: store.(fosite.ClientManager), keys: config.GetJWKSFetcherStrategy(ctx), now: g.Now,
			},
		}
		for _, url := range append([]string{config.GetAccessTokenIssuer(ctx)}, config.GetTokenURLs(ctx)...) {
			h.assertions.audiences = append(h.assertions.audiences, audiences(url, "")...)
		}
		return composed(config, "JWTBearerFactory", h, reflect.TypeFor[*rfc7523.Handler]())
	}
}

var _ fosite.TokenEndpointHandler = (*jwtBearerGrant)(nil)

// jwtBearerGrant has our checks in the place of fosite's, which know one key for each subject and no rules.
type jwtBearerGrant struct {
	*rfc7523.Handler
	grantRules
	assertions *grantAssertions
	refusals   refusalLimit
}

// withoutClientKey is the context key of a token request that names no client.
type withoutClientKey struct{}

// WithoutClient marks a token request for the JWT bearer grant that names no client and has no credentials: that is how
// workloads ask. Whatever else it sends is checked, and a client that is named must authenticate.
func WithoutClient(ctx context.Context, r *http.Request) context.Context {
	if r.PostForm == nil {
		_ = r.ParseMultipartForm(1 << 20) // as fosite does, which then answers the error
	}
	if r.PostForm.Get("grant_type") != client.JWTBearer || len(r.Header.Values("Authorization")) > 0 {
		return ctx
	}
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		if r.PostForm.Get(name) != "" {
			return ctx
		}
	}
	return context.WithValue(ctx, withoutClientKey{}, true)
}

func isWithoutClient(ctx context.Context) bool { return ctx.Value(withoutClientKey{}) != nil }

// errWithoutClient is the answer to whoever asks for the client of a request that has none. It is no failed authentication.
var errWithoutClient = fosite.ErrInvalidRequest.WithHint("The request names no client.")

// CanSkipClientAuth implements [fosite.TokenEndpointHandler].
func (h *jwtBearerGrant) CanSkipClientAuth(ctx context.Context, _ fosite.AccessRequester) bool {
	return isWithoutClient(ctx)
}

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler] (RFC 7523 §3).
func (h *jwtBearerGrant) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	if err := h.CheckComposition(); err != nil {
		return err
	}
	sent := new(sentAssertion)
	err := h.exchange(ctx, request, sent)
	if reason := refusalOf(err); reason != "" {
		if h.AssertionRefused != nil {
			h.AssertionRefused(ctx, RefusedAssertion{Issuer: sent.claims.Issuer, Subject: sent.claims.Subject, RuleID: sent.ruleID, Reason: reason})
		}
		h.refusals.hold(ctx)
	}
	return err
}

func (h *jwtBearerGrant) exchange(ctx context.Context, request fosite.AccessRequester, sent *sentAssertion) error {
	access, ok := request.(*fosite.AccessRequest)
	session, can := request.GetSession().(SessionOfAssertion)
	if !ok || !can {
		return fosite.ErrMisconfiguration.WithDebugf("the JWT bearer grant needs a *fosite.AccessRequest and a session with SetAsserted, not a %T and a %T", request, request.GetSession())
	}
	// A rule is for the assertion.
	if err := sent.read(request.GetRequestForm().Get("assertion")); err != nil {
		return err
	}
	rules, err := h.assertions.rulesFor(ctx, sent)
	if err != nil {
		return err
	}
	// Scope and resource: those of the first rule that has what is asked for.
	offer, err := h.offer(ctx, request, rules)
	if err != nil {
		return err
	}
	sent.ruleID = offer.rule.ID
	// Check: only who can sign learns what a rule allows.
	if err := h.assertions.checkSignature(ctx, sent, offer.rule); err != nil {
		return err
	}
	if offer.err != nil {
		return offer.err
	}
	if err := h.assertions.useOnce(ctx, sent, offer.rule); err != nil {
		return err
	}
	// Grant.
	if id, err := uuid.NewV7(); err == nil {
		request.SetID(id.String())
	}
	access.Client, access.RequestedAt = offer.rule.Fosite(), clock(h.Now).UTC()
	request.SetRequestedAudience(offer.audience)
	request.SetRequestedScopes(offer.scopes)
	grantAll(request, offer.scopes, offer.audience)
	session.SetAsserted(sent.claims.Issuer, sent.claims.Subject)
	lifespan := h.config.GetAccessTokenLifespan(ctx)
	if own := offer.rule.AccessTokenLifespan; own > 0 {
		lifespan = min(lifespan, own)
	}
	request.GetSession().SetExpiresAt(fosite.AccessToken, clock(h.Now).Add(lifespan))
	return nil
}

// offer is what a rule gives for an assertion, or why it gives nothing.
type offer struct {
	rule             *client.Client
	scopes, audience []string
	err              error
}

// offer is what the first of the rules gives that has what the request asks for. If none has, it is the first one's refusal.
func (h *jwtBearerGrant) offer(ctx context.Context, request fosite.AccessRequester, rules []*client.Client) (first offer, err error) {
	resources, err := h.Resources.current(ctx)
	if err != nil {
		return offer{}, err
	}
	for i, rule := range rules {
		o := offer{rule: rule}
		o.audience, o.err = resources.resolve(rule, requestedResources(request.GetRequestForm()))
		if o.err == nil {
			o.scopes, o.err = resources.scopes(rule, o.audience, request.GetRequestedScopes())
		}
		if beyond := slices.IndexFunc(o.scopes, func(scope string) bool { return !slices.Contains(rule.Scope, scope) }); o.err == nil && beyond >= 0 {
			o.err = fosite.ErrInvalidScope.WithHintf("The rule about the issuer does not allow the scope %q.", o.scopes[beyond])
		}
		if o.err == nil && len(o.scopes) == 0 && len(o.audience) == 0 {
			o.err = errNothingRegistered
		}
		if o.err == nil {
			return o, nil
		}
		if i == 0 {
			first = o
		}
	}
	return first, nil
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler]: it issues the token.
func (h *jwtBearerGrant) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if err := h.Handler.PopulateTokenEndpointResponse(ctx, request, response); err != nil {
		return err
	}
	h.setExpiresIn(request, response)
	return nil
}

// RefusedAssertion is an assertion that was not exchanged, and why. Issuer and Subject are what it says, which nobody has
// checked.
type RefusedAssertion struct {
	Issuer, Subject string
	RuleID          string // the rule that it came to; empty: none is for it
	Reason          string
}
