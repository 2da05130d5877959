package provider

import (
	"context"
	"errors"
	"reflect"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/pkce"
)

const authorizationCode = "authorization_code"

// AuthorizationCodeFactory makes the handler of the authorization code grant with PKCE (RFC 6749 §4.1, RFC 7636), in
// place of compose.OAuth2AuthorizeExplicitFactory and compose.OAuth2PKCEFactory, whose handlers are its core. A failed
// redemption does not consume the code: the right verifier still works afterwards, and nothing works without one. A code
// is redeemed exactly once. A second redemption by its client ends what the first one has issued.
func AuthorizationCodeFactory(g Grants) compose.Factory {
	return func(config fosite.Configurator, store, strategy any) any {
		rules, core := grantRules{Grants: g, config: config}, store.(grantStore)
		inner, strict := &fositeStore{core, rules}, fositeConfig{config, g.Resources}
		return composed(config, "AuthorizationCodeFactory", &authorizationCodeGrant{
			AuthorizeExplicitGrantHandler: compose.OAuth2AuthorizeExplicitFactory(strict, inner, strategy).(*oauth2.AuthorizeExplicitGrantHandler),
			pkce:                          compose.OAuth2PKCEFactory(strict, inner, strategy).(*pkce.Handler),
			grantRules:                    rules,
			store:                         core,
		}, reflect.TypeFor[*oauth2.AuthorizeExplicitGrantHandler]())
	}
}

var (
	_ fosite.AuthorizeEndpointHandler = (*authorizationCodeGrant)(nil)
	_ fosite.TokenEndpointHandler     = (*authorizationCodeGrant)(nil)
)

// authorizationCodeGrant is fosite's two handlers with our checks before them, and our errors and our clock after them.
type authorizationCodeGrant struct {
	*oauth2.AuthorizeExplicitGrantHandler
	pkce *pkce.Handler
	grantRules
	store grantStore // the host's
}

// HandleAuthorizeEndpointRequest implements [fosite.AuthorizeEndpointHandler] (RFC 6749 §4.1.2): it issues the code. Code
// and challenge are stored together or not at all.
func (h *authorizationCodeGrant) HandleAuthorizeEndpointRequest(ctx context.Context, request fosite.AuthorizeRequester, response fosite.AuthorizeResponder) error {
	if !request.GetResponseTypes().ExactOne("code") {
		return nil
	}
	if err := checkChallenge(request.GetRequestForm()); err != nil {
		return err
	}
	// fosite checks what is requested. What is granted may be more.
	if err := h.checkGranted(ctx, request); err != nil {
		return err
	}
	var issued *fosite.AuthorizeResponse
	var failed error // of fosite's handlers; nil: the transaction itself has failed
	err := inTransaction(ctx, h.store, func(ctx context.Context) error {
		issued = fosite.NewAuthorizeResponse() // an attempt that is repeated leaves nothing in the response
		if failed = h.AuthorizeExplicitGrantHandler.HandleAuthorizeEndpointRequest(ctx, request, issued); failed == nil {
			failed = h.pkce.HandleAuthorizeEndpointRequest(ctx, request, issued)
		}
		return failed
	})
	switch cause := storeError(failed); {
	case err == nil:
	case failed == nil:
		return unavailable(err)
	case cause == nil: // a refusal of fosite's
		return failed
	case errors.Is(cause, fosite.ErrAccessDenied): // the account was disabled since the login was looked at
		return cause
	default:
		return unavailable(cause)
	}
	response.AddParameter("code", issued.GetCode())
	if state := request.GetState(); state != "" {
		response.AddParameter("state", state)
	}
	return nil
}

// checkGranted refuses a code for what the client may not have, or for a scope that no granted resource understands.
func (h *authorizationCodeGrant) checkGranted(ctx context.Context, request fosite.AuthorizeRequester) error {
	client := request.GetClient()
	if !containsAll(h.Resources.included(client.GetScopes()), request.GetGrantedScopes()) {
		return fosite.ErrInvalidScope.WithHint("The client is not registered for the scope.")
	}
	if err := exactAudience(client.GetAudience(), request.GetGrantedAudience()); err != nil {
		return err
	}
	resources, err := h.Resources.current(ctx)
	if err != nil {
		return err
	}
	return resources.checkScopes(request.GetGrantedAudience(), request.GetGrantedScopes())
}

var (
	errUnknownCode  = fosite.ErrInvalidGrant.WithHint("The authorization code is not known here as one of this client's; it may have expired. Start again at the authorization endpoint.")
	errUsedCode     = fosite.ErrInvalidGrant.WithHint("The authorization code was used before. Everything issued for it is revoked; start again at the authorization endpoint.")
	errRedirectURI  = fosite.ErrInvalidGrant.WithHint("The redirect_uri differs from that of the authorization request.")
	errVerifier     = fosite.ErrInvalidGrant.WithHint("The code_verifier does not fit the code_challenge of the authorization request.")
	errCodeMissing  = fosite.ErrInvalidRequest.WithHint("The parameter code is missing.")
	errNoCodeClient = fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the authorization_code grant.")
)

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler] (RFC 6749 §4.1.3). It changes nothing, unless the
// code was used before: that ends its grant.
func (h *authorizationCodeGrant) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	if err := h.CheckComposition(); err != nil {
		return err
	}
	// The client may use the grant, and this code.
	if !request.GetClient().GetGrantTypes().Has(authorizationCode) {
		return errNoCodeClient
	}
	ctx = checkedOnce(ctx, h.AuthorizeCodeStrategy, request.GetRequestForm().Get("code"))
	code, err := h.redeemable(ctx, request)
	if err != nil {
		return err
	}
	// Scope and resource.
	granted, err := h.narrow(ctx, request, code, "")
	if err != nil {
		return err
	}
	// fosite's check.
	if err := h.AuthorizeExplicitGrantHandler.HandleTokenEndpointRequest(alreadyRead(ctx, granted), request); err != nil {
		return errUnknownCode.WithWrap(err)
	}
	// Grant.
	grantAll(request, granted.GetGrantedScopes(), granted.GetGrantedAudience())
	h.setExpiries(ctx, request, fosite.GrantTypeAuthorizationCode)
	return nil
}

// redeemable is what the code of request was issued for. The code is the client's, in its time and unused, and the
// request proves with redirect_uri and code_verifier that it comes from where the code went.
func (h *authorizationCodeGrant) redeemable(ctx context.Context, request fosite.AccessRequester) (fosite.Requester, error) {
	code := request.GetRequestForm().Get("code")
	if code == "" {
		return nil, errCodeMissing
	}
	signature := h.AuthorizeCodeStrategy.AuthorizeCodeSignature(ctx, code)
	if signature == "" {
		if err := missingSecret(ctx, h.AuthorizeCodeStrategy, fosite.AuthorizeCode, code, request, h.store.GetAuthorizeCodeSession); err != nil {
			return nil, err
		}
		return nil, errUnknownCode
	}
	grant, err := h.store.GetAuthorizeCodeSession(ctx, signature, request.GetSession())
	used := errors.Is(err, fosite.ErrInvalidatedAuthorizeCode) && grant != nil
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		return nil, errUnknownCode
	case err != nil && !used:
		return nil, unavailable(err)
	case grant.GetClient().GetID() != request.GetClient().GetID(): // RFC 6749 §5.2; another client's misuse harms nobody
		return nil, errUnknownCode
	case used && !genuine(ctx, h.AuthorizeCodeStrategy.ValidateAuthorizeCode, fosite.AuthorizeCode, grant, code):
		return nil, errUnknownCode
	case used:
		return nil, h.endReusedGrant(ctx, h.store, CodeReused, grant, signature, errUsedCode)
	}
	if err := h.AuthorizeCodeStrategy.ValidateAuthorizeCode(ctx, grant, code); err != nil {
		return nil, errUnknownCode.WithWrap(err)
	}
	request.SetSession(grant.GetSession()) // which fosite's checks take for the code's
	// OAuth 2.1 §4.1.3 has no redirect_uri here, PKCE binds the code; one that is sent must be right.
	if uri := request.GetRequestForm().Get("redirect_uri"); uri != "" && uri != grant.GetRequestForm().Get("redirect_uri") {
		return nil, errRedirectURI
	}
	// RFC 7636 §4.6. A code without a challenge is not redeemed at all.
	err = h.pkce.HandleTokenEndpointRequest(ctx, request)
	if cause := storeError(err); cause != nil {
		return nil, unavailable(cause)
	}
	if err != nil {
		return nil, errVerifier
	}
	return grant, nil
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler]: it issues the tokens. Of all requests that got
// this far, one consumes the code. The others lost a race, which is reuse like any other.
func (h *authorizationCodeGrant) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	code := request.GetRequestForm().Get("code")
	ctx = checkedOnce(ctx, h.AuthorizeCodeStrategy, code)
	signature := h.AuthorizeCodeStrategy.AuthorizeCodeSignature(ctx, code)
	err := inTransaction(ctx, h.store, func(ctx context.Context) error {
		err := h.AuthorizeExplicitGrantHandler.PopulateTokenEndpointResponse(alreadyRead(ctx, request), request, response)
		if err != nil {
			return err
		}
		return h.store.DeletePKCERequestSession(ctx, signature)
	})
	switch {
	case err == nil:
		h.setExpiresIn(request, response)
		return nil
	case errors.Is(err, fosite.ErrInvalidatedAuthorizeCode):
		return h.endReusedGrant(ctx, h.store, CodeReused, request, signature, errUsedCode)
	case errors.Is(err, errTokenTooLong):
		return errTokenTooLong
	case errors.Is(err, fosite.ErrNotFound), errors.Is(err, fosite.ErrInvalidRequest): // fosite's word for a code that has expired by now
		return errUnknownCode
	}
	return unavailable(err)
}
