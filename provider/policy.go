package provider

import (
	"context"

	"github.com/google/uuid"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
)

var _ fosite.TokenEndpointHandler = (*policy)(nil)

// PolicyFactory makes the handler that applies our rules before any grant's own handler sees the request; put it
// first in a composition. It never handles a request itself, it
//
//   - maps the resource parameter (RFC 8707) to the requested audience, with a default;
//   - asks for the client's registered scope when the request names none, as far as the resource understands it, and
//     refuses a scope that it does not understand;
//   - answers unauthorized_client when a grant type is not the client's to use;
//   - grants what the client_credentials handler has checked, which fosite leaves to its user.
func PolicyFactory(resources Resources) compose.Factory {
	return func(fosite.Configurator, any, any) any { return &policy{resources: resources} }
}

type policy struct{ resources Resources }

const clientCredentials = "client_credentials"

// CanSkipClientAuth implements [fosite.TokenEndpointHandler]: the grant's own handler insists on authentication.
func (p *policy) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return true }

// CanHandleTokenEndpointRequest implements [fosite.TokenEndpointHandler].
func (p *policy) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetClient().GetID() != "" // empty when client authentication failed, which fosite reports later
}

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler].
func (p *policy) HandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) error {
	if !r.GetGrantTypes().ExactOne(clientCredentials) {
		return fosite.ErrUnknownRequest
	}
	client := r.GetClient()
	if client.IsPublic() || !client.GetGrantTypes().Has(clientCredentials) {
		return fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the client_credentials grant.")
	}
	// Ordered ids keep the database's index of requests compact.
	if id, err := uuid.NewV7(); err == nil {
		r.SetID(id.String())
	}
	audience, err := p.resources.resolve(client, requestedResources(r.GetRequestForm()))
	if err != nil {
		return err
	}
	scopes, err := p.resources.scopes(client, audience, r.GetRequestedScopes())
	if err != nil {
		return err
	}
	r.SetRequestedAudience(audience)
	r.SetRequestedScopes(scopes)
	return fosite.ErrUnknownRequest
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler].
func (p *policy) PopulateTokenEndpointResponse(_ context.Context, r fosite.AccessRequester, _ fosite.AccessResponder) error {
	if r.GetGrantTypes().ExactOne(clientCredentials) {
		for _, scope := range r.GetRequestedScopes() {
			r.GrantScope(scope)
		}
		for _, audience := range r.GetRequestedAudience() {
			r.GrantAudience(audience)
		}
	}
	return fosite.ErrUnknownRequest
}
