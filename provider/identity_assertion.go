package provider

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// identityAssertion is the typ of an ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant), in lower case.
const identityAssertion = "oauth-id-jag+jwt"

// maxIdentityAhead is how far ahead an identity assertion may expire. They live for minutes.
const maxIdentityAhead = time.Hour

// identityTerms are those of a client that acts for a person, because their enterprise says that it may.
type identityTerms struct {
	grant *jwtBearerGrant
	asks  fosite.Client
	sent  *sentAssertion
}

func (t *identityTerms) profile() client.Profile { return client.IDJAG }

func (t *identityTerms) check(sent *sentAssertion) (reason string) {
	switch {
	case sent.typ != identityAssertion:
		return "its typ is not oauth-id-jag+jwt, and a workload sends no client_id"
	case sent.claims.ID == "":
		return "it has no jti"
	case sent.all["client_id"] != t.asks.GetID():
		return "its client_id is not the client that has sent it"
	}
	return ""
}

// audiences implements terms: the assertion is for this issuer, and nobody else could use it.
func (t *identityTerms) audiences() (ours []string, alone bool) {
	return t.grant.assertions.audiences[:t.grant.assertions.ofIssuer], true
}

func (t *identityTerms) longest(*client.Client) time.Duration { return maxIdentityAhead }

// lesserClient is a client with less scope and audience than it is registered for.
type lesserClient struct {
	fosite.Client
	scopes, audience []string
}

func (b *lesserClient) GetScopes() fosite.Arguments   { return b.scopes }
func (b *lesserClient) GetAudience() fosite.Arguments { return b.audience }

// offer implements terms: what client, rule and assertion have in common, as far as it is asked for. What is wrong with the
// assertion is invalid_grant: another request would not mend it.
func (t *identityTerms) offer(resources Resources, request fosite.AccessRequester, rule *client.Client) (o offer) {
	o.rule = rule
	left := &lesserClient{
		Client:   t.asks,
		scopes:   both(resources.included(t.asks.GetScopes()), resources.included(rule.Scope)),
		audience: both(t.asks.GetAudience(), rule.Audience),
	}
	requested := requestedResources(request.GetRequestForm())
	if named, given, err := t.resources(); err != nil {
		o.err = err
		return o
	} else if given {
		var meant []string
		for _, resource := range named {
			if known, ok := find(left.audience, resource); ok && !resources.unknown(known) {
				meant = append(meant, known)
			}
		}
		if left.audience = meant; len(meant) == 0 {
			o.err = refuseGrant("its resource is none that both the client and the rule may have")
			return o
		}
		if len(requested) == 0 {
			requested = meant
		}
	}
	if o.audience, o.err = resources.resolve(left, requested); o.err != nil {
		return o
	}
	if len(o.audience) == 0 {
		o.err = ErrInvalidTarget.WithHint("The client and the rule about the issuer have no resource in common; give both an audience.")
		return o
	}
	if scope, given := t.sent.all["scope"]; given {
		text, ok := scope.(string)
		if left.scopes = both(resources.included(strings.Fields(text)), left.scopes); !ok || len(left.scopes) == 0 {
			o.err = refuseGrant("its scope is none that both the client and the rule may have")
			return o
		}
	}
	o.scopes = keep(left.scopes, func(scope string) bool { return resources.understood(o.audience, scope) })
	if wanted := request.GetRequestedScopes(); len(wanted) > 0 {
		o.scopes = both(resources.included(wanted), o.scopes)
	}
	if len(o.scopes) == 0 {
		o.err = fosite.ErrInvalidScope.WithHint("Nothing is left of the scope that the client, the rule about the issuer, the assertion and the request have in common.")
	}
	return o
}

// resources are those that the assertion names: a text, or a list of them.
func (t *identityTerms) resources() (named []string, given bool, err error) {
	switch claim := t.sent.all["resource"].(type) {
	case nil:
		return nil, false, nil
	case string:
		return []string{claim}, true, nil
	case []any:
		for _, item := range claim {
			text, ok := item.(string)
			if !ok {
				return nil, true, refuseGrant("its resource is no text")
			}
			named = append(named, text)
		}
		return named, true, nil
	}
	return nil, true, refuseGrant("its resource is no text")
}

// both is what two lists have in common, in the order of the first.
func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(entry string) bool { return !slices.Contains(b, entry) })
}

// meet stores the client of a metadata document that an identity assertion names, unless it is known with the grant, which its document
// may have named since. The enterprise's signature comes first: no stranger has a document fetched. What is wrong otherwise is told when the client authenticates.
func (p *Provider) meet(ctx context.Context, documents *ClientDocuments, assertion string) error {
	sent := new(sentAssertion)
	if sent.read(assertion) != nil || sent.typ != identityAssertion {
		return nil
	}
	id, _ := sent.all["client_id"].(string)
	if !client.IsDocumentURL(id) {
		return nil
	}
	known, err := p.Authorization.Clients.GetClient(ctx, id)
	if err != nil && !errors.Is(err, fosite.ErrNotFound) || err == nil && known.GetGrantTypes().Has(client.JWTBearer) {
		return nil
	}
	for _, handler := range p.Config.GetTokenEndpointHandlers(ctx) {
		grant, ok := handler.(*jwtBearerGrant)
		if !ok {
			continue
		}
		rules, err := grant.assertions.rulesFor(ctx, sent, &identityTerms{grant, &fosite.DefaultClient{ID: id}, sent})
		if err == nil {
			err = grant.assertions.checkSignature(ctx, sent, rules[0])
		}
		if refusalOf(err) != "" {
			return nil
		}
		if err != nil {
			return err
		}
		c, err := documents.Client(ctx, id)
		if err != nil {
			return err
		}
		if c.IsPublic() {
			return errPublicAssertion
		}
		return documents.Keep(ctx, c)
	}
	return nil
}

// accept implements terms: the token is the client's own, and ends with the rule.
func (t *identityTerms) accept(ctx context.Context, access *fosite.AccessRequest, rule *client.Client) time.Duration {
	access.GetSession().(SessionWithRule).SetRule(rule.ID, rule.Version, rule.Epoch)
	lifespan := cmp.Or(t.grant.AccessTokenLifespan, t.grant.config.GetAccessTokenLifespan(ctx))
	return fosite.GetEffectiveLifespan(t.asks, fosite.GrantTypeJWTBearer, fosite.AccessToken, lifespan)
}
