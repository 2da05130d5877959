package provider

import (
	"context"
	"errors"
	"reflect"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
)

var _ fosite.RevocationHandler = (*revocationHandler)(nil)

// RevocationFactory makes the handler of RFC 7009, in place of compose.OAuth2TokenRevocationFactory, whose success is
// not to be relied on. This one answers nil only when the token and everything issued with it is dead, or when
// there is no such token, a forged one included; unauthorized_client for another client's token; and any failure of the
// store as it is.
func RevocationFactory(config fosite.Configurator, store, strategy any) any {
	h := &revocationHandler{store: store.(oauth2.TokenRevocationStorage), strategy: strategy.(oauth2.CoreStrategy)}
	return composed(config, "RevocationFactory", h, reflect.TypeFor[*oauth2.TokenRevocationHandler]())
}

var _ compose.Factory = RevocationFactory

type revocationHandler struct {
	placed
	store    oauth2.TokenRevocationStorage
	strategy oauth2.CoreStrategy
}

// RevokeToken implements [fosite.RevocationHandler].
func (h *revocationHandler) RevokeToken(ctx context.Context, token string, hint fosite.TokenType, client fosite.Client) error {
	if err := h.CheckComposition(); err != nil {
		return err
	}
	kinds := []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken}
	if hint == fosite.RefreshToken {
		kinds = []fosite.TokenType{fosite.RefreshToken, fosite.AccessToken}
	}
	ctx = checkedOnce(ctx, h.strategy, token)
	for _, kind := range kinds {
		owner, err := h.revokeAs(ctx, kind, token, client)
		switch {
		case errors.Is(err, fosite.ErrNotFound):
			continue
		case err != nil:
			return unavailable(err)
		case owner != client.GetID(): // RFC 7009 §2.1: refuse a token that was issued to somebody else.
			return fosite.ErrUnauthorizedClient.WithHint("The token was issued to another client.")
		}
		return nil
	}
	return nil
}

// revokeAs ends token if it is one of this kind and the client's, and tells whose it is.
func (h *revocationHandler) revokeAs(ctx context.Context, kind fosite.TokenType, token string, client fosite.Client) (owner string, err error) {
	signatureOf, validate := h.strategy.AccessTokenSignature, h.strategy.ValidateAccessToken
	if kind == fosite.RefreshToken {
		signatureOf, validate = h.strategy.RefreshTokenSignature, h.strategy.ValidateRefreshToken
	}
	signature := signatureOf(ctx, token)
	if signature == "" {
		return "", h.missing(ctx, kind, token)
	}
	own, ok := h.strategy.(CheckingStrategy)
	if made := ok && own.made(ctx, kind, token); !made && !genuine(ctx, validate, kind, &fosite.Request{Client: client}, token) {
		return "", fosite.ErrNotFound
	}
	if store, ok := h.store.(TokenRevokingStore); ok {
		return store.RevokeOwnToken(ctx, kind, signature, client.GetID())
	}
	owner, requestID, err := h.lookUp(ctx, kind, signature)
	if err != nil || owner != client.GetID() {
		return owner, err
	}
	return owner, revokeAll(ctx, h.store, requestID)
}

// missing is [fosite.ErrNotFound], or an outage when the store knows the token, in whatever state: what came of it may
// be alive, and a token that cannot be checked ends nothing.
func (h *revocationHandler) missing(ctx context.Context, kind fosite.TokenType, token string) error {
	strategy, ok := h.strategy.(CheckingStrategy)
	if !ok {
		return fosite.ErrNotFound
	}
	checked := strategy.checked(ctx, token)
	if checked.outage != nil && kind == fosite.AccessToken {
		return checked.outage
	}
	if checked.ours() || checked.signature == "" || checked.kind != kind {
		return fosite.ErrNotFound
	}
	if _, _, err := h.lookUp(ctx, kind, checked.signature); err != nil {
		return err
	}
	return strategy.MissingSecret(ctx, kind)
}

// lookUp asks the store. One that knows only what it would give to an introspection finds a rotated refresh token as well,
// but no access token that has ended.
func (h *revocationHandler) lookUp(ctx context.Context, kind fosite.TokenType, signature string) (clientID, requestID string, err error) {
	if store, ok := h.store.(TokenGrantStore); ok {
		return store.TokenGrant(ctx, kind, signature)
	}
	get := h.store.GetAccessTokenSession
	if kind == fosite.RefreshToken {
		get = h.store.GetRefreshTokenSession
	}
	request, err := get(ctx, signature, nil)
	switch {
	case errors.Is(err, fosite.ErrInactiveToken) && request == nil:
		return "", "", fosite.ErrNotFound
	case err != nil && !errors.Is(err, fosite.ErrInactiveToken):
		return "", "", err
	}
	return request.GetClient().GetID(), request.GetID(), nil
}

// revokeAll ends all tokens of a request.
func revokeAll(ctx context.Context, store oauth2.TokenRevocationStorage, requestID string) error {
	return inTransaction(ctx, store, func(ctx context.Context) error {
		return errors.Join(ignoreGone(store.RevokeRefreshToken(ctx, requestID)), ignoreGone(store.RevokeAccessToken(ctx, requestID)))
	})
}

func ignoreGone(err error) error {
	if errors.Is(err, fosite.ErrNotFound) || errors.Is(err, fosite.ErrInactiveToken) {
		return nil
	}
	return err
}
