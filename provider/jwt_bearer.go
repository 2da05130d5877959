package provider

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"time"

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
//   - identity assertions (ID-JAG), by which an enterprise lets a client act for a person. The client authenticates, and gets what
//     it may have itself, as far as rule and assertion say so;
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
		h.assertions.audiences = audiences(config.GetAccessTokenIssuer(ctx), "")
		h.assertions.ofIssuer = len(h.assertions.audiences)
		h.assertions.audiences = append(h.assertions.audiences, config.GetTokenURLs(ctx)...)
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
			refused := RefusedAssertion{Issuer: sent.claims.Issuer, Subject: sent.claims.Subject, RuleID: sent.ruleID, Reason: reason}
			err = cmp.Or(h.AssertionRefused(ctx, refused), err)
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
	// The client may use the grant, if there is one, and a rule is for the assertion.
	if err := sent.read(request.GetRequestForm().Get("assertion")); err != nil {
		return err
	}
	terms, err := h.terms(ctx, request, sent)
	if err != nil {
		return err
	}
	rules, err := h.assertions.rulesFor(ctx, sent, terms)
	if err != nil {
		return err
	}
	// Scope and resource: those of the first rule that has what is asked for.
	offer, err := h.firstOffer(ctx, request, rules, terms)
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
	if isWithoutClient(ctx) && h.AllowWorkload != nil {
		if err := h.AllowWorkload(ctx, offer.rule.ID, sent.claims.Subject); err != nil {
			return err
		}
	}
	if err := h.assertions.useOnce(ctx, sent, offer.rule); err != nil {
		return err
	}
	// Grant.
	if id, err := uuid.NewV7(); err == nil {
		request.SetID(id.String())
	}
	now := clock(h.Now).UTC()
	access.RequestedAt = now
	request.SetRequestedAudience(offer.audience)
	request.SetRequestedScopes(offer.scopes)
	grantAll(request, offer.scopes, offer.audience)
	session.SetAsserted(sent.claims.Issuer, sent.claims.Subject)
	lifespan := terms.accept(ctx, access, offer.rule)
	if own := offer.rule.AccessTokenLifespan; own > 0 {
		lifespan = min(lifespan, own)
	}
	request.GetSession().SetExpiresAt(fosite.AccessToken, earlier(now.Add(lifespan), offer.rule.ExpiresAt))
	return nil
}

// terms are what the two kinds of assertions differ in.
type terms interface {
	// check tells what is wrong with the assertion whatever the rule, or "".
	check(sent *sentAssertion) (reason string)
	profile() client.Profile
	// audiences are the values of aud of a rule that names none; alone: there may be no other one beside it.
	audiences() (ours []string, alone bool)
	longest(rule *client.Client) time.Duration
	// offer is what a rule gives.
	offer(resources Resources, request fosite.AccessRequester, rule *client.Client) offer
	// accept makes the token that of its client, and tells how long it may live.
	accept(ctx context.Context, access *fosite.AccessRequest, rule *client.Client) time.Duration
}

// terms are those of the assertion: of a workload without a client, or of an identity that a client acts for.
func (h *jwtBearerGrant) terms(ctx context.Context, request fosite.AccessRequester, sent *sentAssertion) (terms, error) {
	if isWithoutClient(ctx) {
		if sent.typ == identityAssertion {
			return nil, errNoCredentials
		}
		return &workloadTerms{h}, nil
	}
	asking := request.GetClient()
	if !asking.GetGrantTypes().Has(client.JWTBearer) {
		return nil, errNoAssertionClient
	}
	if asking.IsPublic() {
		return nil, errPublicAssertion
	}
	if _, ok := request.GetSession().(SessionWithRule); !ok {
		return nil, fosite.ErrMisconfiguration.WithDebugf("an identity assertion needs a session with SetRule, not a %T", request.GetSession())
	}
	return &identityTerms{h, asking, sent}, nil
}

var errNoAssertionClient = fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the grant urn:ietf:params:oauth:grant-type:jwt-bearer. A workload sends its assertion alone, and no client_id.")

// errPublicAssertion is for a client that proves nothing: whoever gets hold of an assertion could be it. The profile wants clients
// that authenticate.
var errPublicAssertion = fosite.ErrUnauthorizedClient.WithHint("A client that exchanges identity assertions must authenticate, with a secret or a key. This one is public; send the person through the authorization code flow.")

// offer is what a rule gives for an assertion, or why it gives nothing.
type offer struct {
	rule             *client.Client
	scopes, audience []string
	err              error
}

// firstOffer is what the first of the rules gives that has what the request asks for. If none has, it is the first one's refusal.
func (h *jwtBearerGrant) firstOffer(ctx context.Context, request fosite.AccessRequester, rules []*client.Client, terms terms) (first offer, err error) {
	resources, err := h.Resources.current(ctx)
	if err != nil {
		return offer{}, err
	}
	for i, rule := range rules {
		o := terms.offer(resources, request, rule)
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
	if !h.CanHandleTokenEndpointRequest(ctx, request) { // fosite's handler says the same with a stack trace, to every token of another grant
		return fosite.ErrUnknownRequest
	}
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
