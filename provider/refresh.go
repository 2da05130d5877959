package provider

import (
	"context"
	"errors"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
)

const refreshToken = "refresh_token"

var _ fosite.TokenEndpointHandler = (*refreshGrant)(nil)

// RefreshTokenFactory makes the handler of the refresh grant (RFC 6749 §6), in place of
// compose.OAuth2RefreshTokenGrantFactory. Each refresh token is rotated at its use; a further use by its client, once
// the store's grace is over, ends the grant. A store that calls a rotated token unknown has it refused and nothing ended.
func RefreshTokenFactory(g Grants) compose.Factory {
	return func(config fosite.Configurator, store, strategy any) any {
		return &refreshGrant{newGrantHandler(g, config, store, strategy)}
	}
}

type refreshGrant struct{ grantHandler }

// CanSkipClientAuth implements [fosite.TokenEndpointHandler]: the client is known before its token is looked at.
func (h *refreshGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements [fosite.TokenEndpointHandler].
func (h *refreshGrant) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(refreshToken)
}

var (
	errUnknownRefresh  = fosite.ErrInvalidGrant.WithHint("The refresh token is not known here as one of this client's, or was used by too many at once; it may have expired or been revoked.")
	errUsedRefresh     = fosite.ErrInvalidGrant.WithHint("The refresh token was used or revoked before. The whole grant is revoked now; log in again.")
	errGroupsEnded     = fosite.ErrInvalidGrant.WithHint("The person's groups were looked up too long ago. Start again at the authorization endpoint.")
	errRefreshMissing  = fosite.ErrInvalidRequest.WithHint("The parameter refresh_token is missing.")
	errNoRefreshClient = fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the refresh_token grant.")
)

// mayRefresh tells whether the client may use the grant. A machine needs no registration for it where machines get
// refresh tokens without one.
func (g Grants) mayRefresh(client fosite.Client) bool {
	return client.GetGrantTypes().Has(refreshToken) ||
		g.MachineRefresh && !client.IsPublic() && client.GetGrantTypes().Has(clientCredentials)
}

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler]. It changes nothing, but for the end that
// reuse puts to a grant.
func (h *refreshGrant) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	client, form := request.GetClient(), request.GetRequestForm()
	if !h.mayRefresh(client) {
		return errNoRefreshClient
	}
	token := form.Get(refreshToken)
	if token == "" {
		return errRefreshMissing
	}
	signature := h.strategy.RefreshTokenSignature(ctx, token)
	if signature == "" {
		if err := missingSecret(ctx, h.strategy, fosite.RefreshToken, token, request, h.store.GetRefreshTokenSession); err != nil {
			return err
		}
		return errUnknownRefresh
	}
	grant, err := h.store.GetRefreshTokenSession(ctx, signature, request.GetSession())
	used := errors.Is(err, fosite.ErrInactiveToken) && grant != nil
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		return errUnknownRefresh
	case err != nil && !used:
		return unavailable(err)
	case grant.GetClient().GetID() != client.GetID(): // RFC 6749 §6; another client's misuse harms nobody
		return errUnknownRefresh
	case used && !genuine(ctx, h.strategy.ValidateRefreshToken, fosite.RefreshToken, grant, token):
		return errUnknownRefresh
	case used:
		return h.punishReuse(ctx, RefreshReused, grant, signature, errUsedRefresh)
	}
	// The token ends with its grant at the latest, see setExpiries.
	if err := h.strategy.ValidateRefreshToken(ctx, grant, token); err != nil {
		return errUnknownRefresh.WithWrap(err)
	}
	if err := h.narrow(request, grant, form.Get("scope")); err != nil {
		return err
	}
	if groupsEnded(grant.GetSession(), h.GroupsMaxAge, clock(h.Now)) {
		return errGroupsEnded
	}
	request.SetID(grant.GetID())
	request.SetSession(grant.GetSession().Clone())
	h.setExpiries(ctx, request, fosite.GrantTypeRefreshToken)
	return nil
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler].
func (h *refreshGrant) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	signature := h.strategy.RefreshTokenSignature(ctx, request.GetRequestForm().Get(refreshToken))
	err := h.issue(ctx, request, response, true, func(ctx context.Context) error {
		return h.store.RotateRefreshToken(ctx, request.GetID(), signature)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fosite.ErrInactiveToken): // lost a race without a grace, or against a revocation
		return h.punishReuse(ctx, RefreshReused, request, signature, errUsedRefresh)
	case errors.Is(err, fosite.ErrNotFound):
		return errUnknownRefresh
	}
	return unavailable(err)
}
