package provider

import (
	"context"
	"reflect"

	"github.com/google/uuid"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
)

const clientCredentials = "client_credentials"

// ClientCredentialsFactory makes the handler of the client credentials grant (RFC 6749 §4.4), in place of
// compose.OAuth2ClientCredentialsGrantFactory, whose handler is its core. It
//
//   - answers unauthorized_client when the grant is not the client's to use;
//   - maps the resource parameter (RFC 8707) to the audience, with a default;
//   - asks for the client's registered scope when the request names none, as far as the resource understands it, and
//     refuses a scope that the resource does not understand;
//   - grants what fosite has checked, which fosite leaves to its user;
//   - issues a refresh token besides, if Grants.MachineRefresh says so. The store and the strategy must know refresh
//     tokens then.
func ClientCredentialsFactory(g Grants) compose.Factory {
	return func(config fosite.Configurator, store, strategy any) any {
		h := &clientCredentialsGrant{
			ClientCredentialsGrantHandler: compose.OAuth2ClientCredentialsGrantFactory(config, store, strategy).(*oauth2.ClientCredentialsGrantHandler),
			grantRules:                    grantRules{Grants: g, config: config},
		}
		if g.MachineRefresh {
			h.refreshStore, h.refreshStrategy = store.(oauth2.RefreshTokenStorage), strategy.(oauth2.RefreshTokenStrategy)
		}
		return composed(config, "ClientCredentialsFactory", h, reflect.TypeFor[*oauth2.ClientCredentialsGrantHandler]())
	}
}

var _ fosite.TokenEndpointHandler = (*clientCredentialsGrant)(nil)

// clientCredentialsGrant is fosite's handler with our rules before it and our clock after it.
type clientCredentialsGrant struct {
	*oauth2.ClientCredentialsGrantHandler
	grantRules
	refreshStore    oauth2.RefreshTokenStorage // nil without refresh tokens
	refreshStrategy oauth2.RefreshTokenStrategy
}

var errNothingRegistered = fosite.ErrInvalidScope.WithHint("The client is registered for no scope and no audience, so there is nothing that a token could be for.")

var errNoMachineClient = fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the client_credentials grant.")

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler] (RFC 6749 §4.4.2).
func (h *clientCredentialsGrant) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	if err := h.CheckComposition(); err != nil {
		return err
	}
	// The client may use the grant.
	client := request.GetClient()
	if client.IsPublic() || !client.GetGrantTypes().Has(clientCredentials) {
		return errNoMachineClient
	}
	// Scope and resource.
	resources, err := h.Resources.current(ctx)
	if err != nil {
		return err
	}
	audience, err := resources.resolve(client, requestedResources(request.GetRequestForm()))
	if err != nil {
		return err
	}
	scopes, err := resources.scopes(client, audience, request.GetRequestedScopes())
	if err != nil {
		return err
	}
	if len(scopes) == 0 && len(audience) == 0 {
		return errNothingRegistered
	}
	// The client is registered for what it names, where the resource understands only what that includes as well.
	for _, scope := range request.GetRequestedScopes() {
		if !h.Config.GetScopeStrategy(ctx)(client.GetScopes(), scope) {
			return fosite.ErrInvalidScope.WithHintf("The client is not registered for the scope %q.", scope)
		}
	}
	request.SetRequestedAudience(audience)
	request.SetRequestedScopes(scopes)
	// fosite's check: the client is registered for both.
	if err := h.ClientCredentialsGrantHandler.HandleTokenEndpointRequest(ctx, request); err != nil {
		return err
	}
	// Grant.
	if id, err := uuid.NewV7(); err == nil { // ordered ids keep the database's index of requests compact
		request.SetID(id.String())
	}
	grantAll(request, request.GetRequestedScopes(), request.GetRequestedAudience())
	if h.MachineRefresh {
		h.setExpiries(ctx, request, fosite.GrantTypeClientCredentials)
		return nil
	}
	lifespan := fosite.GetEffectiveLifespan(client, fosite.GrantTypeClientCredentials, fosite.AccessToken, h.config.GetAccessTokenLifespan(ctx))
	request.GetSession().SetExpiresAt(fosite.AccessToken, earlier(clock(h.Now).Add(lifespan), clientEnd(client)))
	return nil
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler]: it issues the tokens.
func (h *clientCredentialsGrant) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if err := h.ClientCredentialsGrantHandler.PopulateTokenEndpointResponse(ctx, request, response); err != nil {
		return err
	}
	h.setExpiresIn(request, response)
	if !h.MachineRefresh {
		return nil
	}
	token, signature, err := h.refreshStrategy.GenerateRefreshToken(ctx, request)
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	accessSignature := h.AccessTokenStrategy.AccessTokenSignature(ctx, response.GetAccessToken())
	if err := h.refreshStore.CreateRefreshTokenSession(ctx, signature, accessSignature, request.Sanitize(nil)); err != nil {
		return unavailable(err)
	}
	response.SetExtra(refreshToken, token)
	return nil
}
