package provider

import (
	"context"
	"errors"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/storage"
)

var _ fosite.RevocationHandler = (*revocationHandler)(nil)

// RevocationFactory makes the handler of RFC 7009, in place of compose.OAuth2TokenRevocationFactory, whose success is
// not to be relied on. This one answers nil only when the token and everything issued with it is dead, or when
// there is no such token, a forged one included; unauthorized_client for another client's token; and any failure of the store as it is.
func RevocationFactory(_ fosite.Configurator, store, strategy any) any {
	return &revocationHandler{store: store.(oauth2.TokenRevocationStorage), strategy: strategy.(oauth2.CoreStrategy)}
}

var _ compose.Factory = RevocationFactory

type revocationHandler struct {
	store    oauth2.TokenRevocationStorage
	strategy oauth2.CoreStrategy
}

// grantRevoker is implemented by stores that can end a grant in one durable step.
type grantRevoker interface {
	RevokeGrant(ctx context.Context, requestID string) error
}

// grantFinder is implemented by stores that remember the grant of a token which has ended: revoking such a token still
// ends what came of it. It answers [fosite.ErrNotFound] when there is no such token.
type grantFinder interface {
	TokenGrant(ctx context.Context, kind fosite.TokenType, signature string) (clientID, requestID string, err error)
}

// RevokeToken implements [fosite.RevocationHandler].
func (h *revocationHandler) RevokeToken(ctx context.Context, token string, hint fosite.TokenType, client fosite.Client) error {
	kinds := []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken}
	if hint == fosite.RefreshToken {
		kinds = []fosite.TokenType{fosite.RefreshToken, fosite.AccessToken}
	}
	for _, kind := range kinds {
		clientID, requestID, err := h.find(ctx, kind, token)
		switch {
		case errors.Is(err, fosite.ErrNotFound):
			continue
		case err != nil:
			return unavailable(err)
		case clientID != client.GetID(): // RFC 7009 §2.1: refuse a token that was issued to somebody else.
			return fosite.ErrUnauthorizedClient.WithHint("The token was issued to another client.")
		}
		if !genuine(ctx, h.validator(kind), kind, &fosite.Request{ID: requestID, Client: client}, token) {
			continue
		}
		return h.revoke(ctx, requestID)
	}
	return nil
}

func (h *revocationHandler) validator(kind fosite.TokenType) validator {
	if kind == fosite.RefreshToken {
		return h.strategy.ValidateRefreshToken
	}
	return h.strategy.ValidateAccessToken
}

// find looks for the token as one kind.
func (h *revocationHandler) find(ctx context.Context, kind fosite.TokenType, token string) (clientID, requestID string, err error) {
	signatureOf := h.strategy.AccessTokenSignature
	if kind == fosite.RefreshToken {
		signatureOf = h.strategy.RefreshTokenSignature
	}
	signature := signatureOf(ctx, token)
	if signature == "" {
		return "", "", h.missing(ctx, kind, token)
	}
	return h.lookUp(ctx, kind, signature)
}

// missing is [fosite.ErrNotFound], or an outage when the store knows the token, in whatever state: what came of it may
// be alive, and a token that cannot be checked ends nothing.
func (h *revocationHandler) missing(ctx context.Context, kind fosite.TokenType, token string) error {
	strategy, ok := h.strategy.(secretStrategy)
	if !ok {
		return fosite.ErrNotFound
	}
	found, signature := strategy.UnverifiedSignature(token)
	if signature == "" || found != kind {
		return fosite.ErrNotFound
	}
	if _, _, err := h.lookUp(ctx, kind, signature); err != nil {
		return err
	}
	return strategy.MissingSecret(ctx, kind)
}

// lookUp asks the store. One that knows only what it would give to an introspection finds a rotated refresh token as well,
// but no access token that has ended.
func (h *revocationHandler) lookUp(ctx context.Context, kind fosite.TokenType, signature string) (clientID, requestID string, err error) {
	if store, ok := h.store.(grantFinder); ok {
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

func (h *revocationHandler) revoke(ctx context.Context, requestID string) (err error) {
	if store, ok := h.store.(grantRevoker); ok {
		if err := store.RevokeGrant(ctx, requestID); err != nil {
			return unavailable(err)
		}
		return nil
	}
	ctx, err = storage.MaybeBeginTx(ctx, h.store)
	if err != nil {
		return unavailable(err)
	}
	err = errors.Join(ignoreGone(h.store.RevokeRefreshToken(ctx, requestID)), ignoreGone(h.store.RevokeAccessToken(ctx, requestID)))
	if err != nil {
		return unavailable(errors.Join(err, storage.MaybeRollbackTx(ctx, h.store)))
	}
	if err := storage.MaybeCommitTx(ctx, h.store); err != nil {
		return unavailable(errors.Join(err, storage.MaybeRollbackTx(ctx, h.store)))
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fosite.ErrNotFound) || errors.Is(err, fosite.ErrInactiveToken) {
		return nil
	}
	return err
}
