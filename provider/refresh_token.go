package provider

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
)

const refreshToken = "refresh_token"

// RefreshTokenFactory makes the handler of the refresh grant (RFC 6749 §6), in place of
// compose.OAuth2RefreshTokenGrantFactory, whose handler is its core. Each refresh token is rotated at its use. A further
// use by its client, once the store's grace is over, ends the grant. A store that calls a rotated token unknown has it
// refused and nothing ended.
func RefreshTokenFactory(g Grants) compose.Factory {
	return func(config fosite.Configurator, store, strategy any) any {
		rules, core := grantRules{Grants: g, config: config}, store.(grantStore)
		return composed(config, "RefreshTokenFactory", &refreshTokenGrant{
			RefreshTokenGrantHandler: compose.OAuth2RefreshTokenGrantFactory(fositeConfig{config, g.Resources}, &fositeStore{core, rules}, strategy).(*oauth2.RefreshTokenGrantHandler),
			grantRules:               rules,
			store:                    core,
		}, reflect.TypeFor[*oauth2.RefreshTokenGrantHandler]())
	}
}

var _ fosite.TokenEndpointHandler = (*refreshTokenGrant)(nil)

// refreshTokenGrant is fosite's handler with our checks before it, and our errors and our clock after it.
type refreshTokenGrant struct {
	*oauth2.RefreshTokenGrantHandler
	grantRules
	store grantStore // the host's
}

var (
	errUnknownRefresh  = fosite.ErrInvalidGrant.WithHint("The refresh token is not known here as one of this client's, or was used by too many at once; it may have expired or been revoked.")
	errUsedRefresh     = fosite.ErrInvalidGrant.WithHint("The refresh token was used or revoked before. The whole grant is revoked now; log in again.")
	errGroupsEnded     = fosite.ErrInvalidGrant.WithHint("The person's groups were looked up too long ago. Start again at the authorization endpoint.")
	errRefreshMissing  = fosite.ErrInvalidRequest.WithHint("The parameter refresh_token is missing.")
	errNoRefreshClient = fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the refresh_token grant.")
)

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler]. It changes nothing, unless the refresh token was
// used before: that ends its grant.
func (h *refreshTokenGrant) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	if err := h.CheckComposition(); err != nil {
		return err
	}
	// The client may use the grant, and this refresh token.
	registered, ok := h.asRegistered(request)
	if !ok {
		return errNoRefreshClient
	}
	ctx = checkedOnce(ctx, h.RefreshTokenStrategy, request.GetRequestForm().Get(refreshToken))
	token, err := h.refreshable(ctx, request)
	if err != nil {
		return err
	}
	// Scope and resource.
	granted, err := h.narrow(ctx, request, token, request.GetRequestForm().Get("scope"))
	if err != nil {
		return err
	}
	if groupsEnded(granted.GetSession(), h.GroupsMaxAge, clock(h.Now)) {
		return errGroupsEnded
	}
	// fosite's check. It grants as well.
	if err := h.RefreshTokenGrantHandler.HandleTokenEndpointRequest(alreadyRead(ctx, granted), registered); err != nil {
		return errUnknownRefresh.WithWrap(err)
	}
	// Grant.
	h.setExpiries(ctx, request, fosite.GrantTypeRefreshToken)
	return nil
}

// asRegistered is request, if its client may use the grant. A machine needs no registration for it where machines get
// refresh tokens without one. fosite knows no such machine, and gets to see one that is registered.
func (h *refreshTokenGrant) asRegistered(request fosite.AccessRequester) (registered fosite.AccessRequester, ok bool) {
	client := request.GetClient()
	switch {
	case client.GetGrantTypes().Has(refreshToken):
		return request, true
	case h.MachineRefresh && !client.IsPublic() && client.GetGrantTypes().Has(clientCredentials):
		return machineRequest{request}, true
	}
	return nil, false
}

// machineRequest is the request of a machine that is registered for the client_credentials grant alone.
type machineRequest struct{ fosite.AccessRequester }

// GetClient implements [fosite.Requester].
func (r machineRequest) GetClient() fosite.Client {
	return registeredMachine{r.AccessRequester.GetClient()}
}

type registeredMachine struct{ fosite.Client }

// GetGrantTypes implements [fosite.Client].
func (m registeredMachine) GetGrantTypes() fosite.Arguments {
	return append(slices.Clone(m.Client.GetGrantTypes()), refreshToken)
}

// refreshable is what the refresh token of request was issued for. It is the client's, in its time and unused.
func (h *refreshTokenGrant) refreshable(ctx context.Context, request fosite.AccessRequester) (fosite.Requester, error) {
	token := request.GetRequestForm().Get(refreshToken)
	if token == "" {
		return nil, errRefreshMissing
	}
	signature := h.RefreshTokenStrategy.RefreshTokenSignature(ctx, token)
	if signature == "" {
		if err := missingSecret(ctx, h.RefreshTokenStrategy, fosite.RefreshToken, token, request, h.store.GetRefreshTokenSession); err != nil {
			return nil, err
		}
		return nil, errUnknownRefresh
	}
	grant, err := h.store.GetRefreshTokenSession(ctx, signature, request.GetSession())
	used := errors.Is(err, fosite.ErrInactiveToken) && grant != nil
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		return nil, errUnknownRefresh
	case err != nil && !used:
		return nil, unavailable(err)
	case grant.GetClient().GetID() != request.GetClient().GetID(): // RFC 6749 §6; another client's misuse harms nobody
		return nil, errUnknownRefresh
	case used && !genuine(ctx, h.RefreshTokenStrategy.ValidateRefreshToken, fosite.RefreshToken, grant, token):
		return nil, errUnknownRefresh
	case used:
		return nil, h.endReusedGrant(ctx, h.store, RefreshReused, grant, signature, errUsedRefresh)
	}
	// The token ends with its grant at the latest, see setExpiries.
	if err := h.RefreshTokenStrategy.ValidateRefreshToken(ctx, grant, token); err != nil {
		return nil, errUnknownRefresh.WithWrap(err)
	}
	return grant, nil
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler]: it issues the tokens. Of all requests that got
// this far, the first one rotates the refresh token. The others have its grace, or lost a race, which is reuse.
func (h *refreshTokenGrant) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	token := request.GetRequestForm().Get(refreshToken)
	ctx = checkedOnce(ctx, h.RefreshTokenStrategy, token)
	err := inTransaction(ctx, h.store, func(ctx context.Context) error {
		return h.RefreshTokenGrantHandler.PopulateTokenEndpointResponse(ctx, request, response)
	})
	switch {
	case err == nil:
		h.setExpiresIn(request, response)
		return nil
	case errors.Is(err, fosite.ErrInactiveToken): // lost a race without a grace, or against a revocation
		signature := h.RefreshTokenStrategy.RefreshTokenSignature(ctx, token)
		return h.endReusedGrant(ctx, h.store, RefreshReused, request, signature, errUsedRefresh)
	case errors.Is(err, errTokenTooLong):
		return errTokenTooLong
	case errors.Is(err, fosite.ErrNotFound):
		return errUnknownRefresh
	}
	return unavailable(err)
}
