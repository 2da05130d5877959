package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
)

const authorizationCode = "authorization_code"

var (
	_ fosite.AuthorizeEndpointHandler = (*codeGrant)(nil)
	_ fosite.TokenEndpointHandler     = (*codeGrant)(nil)
)

// AuthorizationCodeFactory makes the handler of the authorization code grant with PKCE (RFC 6749 §4.1, RFC 7636), in
// place of compose.OAuth2AuthorizeExplicitFactory and compose.OAuth2PKCEFactory. A failed redemption uses nothing
// up: the right verifier still works afterwards, and nothing works without one. A code is redeemed exactly once;
// a second redemption by its client ends what the first one has issued.
func AuthorizationCodeFactory(g Grants) compose.Factory {
	return func(config fosite.Configurator, store, strategy any) any {
		return &codeGrant{newGrantHandler(g, config, store, strategy)}
	}
}

type codeGrant struct{ grantHandler }

// HandleAuthorizeEndpointRequest implements [fosite.AuthorizeEndpointHandler] (RFC 6749 §4.1.2). Code and challenge
// are stored together or not at all.
func (h *codeGrant) HandleAuthorizeEndpointRequest(ctx context.Context, request fosite.AuthorizeRequester, response fosite.AuthorizeResponder) error {
	if !request.GetResponseTypes().ExactOne("code") {
		return nil
	}
	if err := checkChallenge(request.GetRequestForm()); err != nil {
		return err
	}
	client := request.GetClient()
	if !containsAll(client.GetScopes(), request.GetGrantedScopes()) {
		return fosite.ErrInvalidScope.WithHint("The client is not registered for the scope.")
	}
	if err := exactAudience(client.GetAudience(), request.GetGrantedAudience()); err != nil {
		return err
	}
	if err := h.Resources.checkScopes(request.GetGrantedAudience(), request.GetGrantedScopes()); err != nil {
		return err
	}
	code, signature, err := h.strategy.GenerateAuthorizeCode(ctx, request)
	if err != nil {
		return fosite.ErrServerError.WithWrap(err)
	}
	request.GetSession().SetExpiresAt(fosite.AuthorizeCode, clock(h.Now).Add(h.config.GetAuthorizeCodeLifespan(ctx)))
	err = inTransaction(ctx, h.store, func(ctx context.Context) error {
		if err := h.store.CreateAuthorizeCodeSession(ctx, signature, request.Sanitize([]string{"redirect_uri"})); err != nil {
			return err
		}
		return h.store.CreatePKCERequestSession(ctx, signature, request.Sanitize([]string{"code_challenge", "code_challenge_method"}))
	})
	if errors.Is(err, fosite.ErrAccessDenied) {
		return err // the account was disabled since the login was looked at
	}
	if err != nil {
		return unavailable(err)
	}
	response.AddParameter("code", code)
	if state := request.GetState(); state != "" {
		response.AddParameter("state", state)
	}
	request.SetDefaultResponseMode(fosite.ResponseModeQuery)
	request.SetResponseTypeHandled("code")
	return nil
}

// CanSkipClientAuth implements [fosite.TokenEndpointHandler]: the client is known before its code is looked at.
func (h *codeGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements [fosite.TokenEndpointHandler].
func (h *codeGrant) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(authorizationCode)
}

var (
	errUnknownCode  = fosite.ErrInvalidGrant.WithHint("The authorization code is not known here as one of this client's; it may have expired. Start again at the authorization endpoint.")
	errUsedCode     = fosite.ErrInvalidGrant.WithHint("The authorization code was used before. Everything issued for it is revoked; start again at the authorization endpoint.")
	errRedirectURI  = fosite.ErrInvalidGrant.WithHint("The redirect_uri differs from that of the authorization request.")
	errVerifier     = fosite.ErrInvalidGrant.WithHint("The code_verifier does not fit the code_challenge of the authorization request.")
	errCodeMissing  = fosite.ErrInvalidRequest.WithHint("The parameter code is missing.")
	errNoCodeClient = fosite.ErrUnauthorizedClient.WithHint("The client is not registered for the authorization_code grant.")
)

// HandleTokenEndpointRequest implements [fosite.TokenEndpointHandler] (RFC 6749 §4.1.3). It changes nothing, but for
// the end that reuse puts to a grant.
func (h *codeGrant) HandleTokenEndpointRequest(ctx context.Context, request fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	client, form := request.GetClient(), request.GetRequestForm()
	if !client.GetGrantTypes().Has(authorizationCode) {
		return errNoCodeClient
	}
	if form.Get("code") == "" {
		return errCodeMissing
	}
	signature := h.strategy.AuthorizeCodeSignature(ctx, form.Get("code"))
	if signature == "" {
		if err := missingSecret(ctx, h.strategy, fosite.AuthorizeCode, form.Get("code"), request, h.store.GetAuthorizeCodeSession); err != nil {
			return err
		}
		return errUnknownCode
	}
	grant, err := h.store.GetAuthorizeCodeSession(ctx, signature, request.GetSession())
	used := errors.Is(err, fosite.ErrInvalidatedAuthorizeCode) && grant != nil
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		return errUnknownCode
	case err != nil && !used:
		return unavailable(err)
	case grant.GetClient().GetID() != client.GetID(): // RFC 6749 §5.2; another client's misuse harms nobody
		return errUnknownCode
	case used && !genuine(ctx, h.strategy.ValidateAuthorizeCode, fosite.AuthorizeCode, grant, form.Get("code")):
		return errUnknownCode
	case used:
		return h.punishReuse(ctx, CodeReused, grant, signature, errUsedCode)
	}
	if err := h.strategy.ValidateAuthorizeCode(ctx, grant, form.Get("code")); err != nil {
		return errUnknownCode.WithWrap(err)
	}
	// OAuth 2.1 §4.1.3 has no redirect_uri here, PKCE binds the code; one that is sent must be right.
	if uri := form.Get("redirect_uri"); uri != "" && uri != grant.GetRequestForm().Get("redirect_uri") {
		return errRedirectURI
	}
	if err := h.verify(ctx, signature, form.Get("code_verifier"), grant.GetSession().Clone()); err != nil {
		return err
	}
	if err := h.narrow(request, grant, ""); err != nil {
		return err
	}
	request.SetID(grant.GetID())
	request.SetSession(grant.GetSession())
	h.setExpiries(ctx, request, fosite.GrantTypeAuthorizationCode)
	return nil
}

// verify is RFC 7636 §4.6. A code without a challenge is not redeemed at all. The store may fill scratch.
func (h *codeGrant) verify(ctx context.Context, signature, verifier string, scratch fosite.Session) error {
	request, err := h.store.GetPKCERequestSession(ctx, signature, scratch)
	if errors.Is(err, fosite.ErrNotFound) {
		return errVerifier
	}
	if err != nil {
		return unavailable(err)
	}
	form := request.GetRequestForm()
	if checkChallenge(form) != nil || !isVerifier(verifier) {
		return errVerifier
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(form.Get("code_challenge"))) != 1 {
		return errVerifier
	}
	return nil
}

// isVerifier is RFC 7636 §4.1: 43 to 128 unreserved characters.
func isVerifier(verifier string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(verifier) >= 43 && len(verifier) <= 128 && strings.Trim(verifier, unreserved) == ""
}

// PopulateTokenEndpointResponse implements [fosite.TokenEndpointHandler]: of all who got this far, one uses up the
// code and gets tokens. The others lost a race, which is reuse like any other.
func (h *codeGrant) PopulateTokenEndpointResponse(ctx context.Context, request fosite.AccessRequester, response fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, request) {
		return fosite.ErrUnknownRequest
	}
	signature := h.strategy.AuthorizeCodeSignature(ctx, request.GetRequestForm().Get("code"))
	err := h.issue(ctx, request, response, request.GetClient().GetGrantTypes().Has(refreshToken), func(ctx context.Context) error {
		if err := h.store.InvalidateAuthorizeCodeSession(ctx, signature); err != nil {
			return err
		}
		return h.store.DeletePKCERequestSession(ctx, signature)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fosite.ErrInvalidatedAuthorizeCode):
		return h.punishReuse(ctx, CodeReused, request, signature, errUsedCode)
	case errors.Is(err, fosite.ErrNotFound):
		return errUnknownCode
	}
	return unavailable(err)
}
