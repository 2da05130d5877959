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
// there is no such token; unauthorized_client for another client's token; and any failure of the store as it is.
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

// RevokeToken implements [fosite.RevocationHandler].
func (h *revocationHandler) RevokeToken(ctx context.Context, token string, hint fosite.TokenType, client fosite.Client) error {
	request, err := h.find(ctx, token, hint)
	if err != nil || request == nil {
		return err
	}
	// RFC 7009 §2.1: refuse a token that was issued to somebody else.
	if request.GetClient().GetID() != client.GetID() {
		return fosite.ErrUnauthorizedClient.WithHint("The token was issued to another client.")
	}
	return h.revoke(ctx, request.GetID())
}

// find looks for the token as what the hint says and as the other kind. A rotated or revoked refresh token still
// leads to its grant: its successors must not outlive it. nil, nil means that there is no such token.
func (h *revocationHandler) find(ctx context.Context, token string, hint fosite.TokenType) (fosite.Requester, error) {
	access := func() (fosite.Requester, error) {
		signature := h.strategy.AccessTokenSignature(ctx, token)
		if signature == "" {
			return nil, nil
		}
		return h.store.GetAccessTokenSession(ctx, signature, nil)
	}
	refresh := func() (fosite.Requester, error) {
		signature := h.strategy.RefreshTokenSignature(ctx, token)
		if signature == "" {
			return nil, nil
		}
		return h.store.GetRefreshTokenSession(ctx, signature, nil)
	}
	lookups := []func() (fosite.Requester, error){access, refresh}
	if hint == fosite.RefreshToken {
		lookups = []func() (fosite.Requester, error){refresh, access}
	}
	for _, lookup := range lookups {
		request, err := lookup()
		switch {
		case request != nil && (err == nil || errors.Is(err, fosite.ErrInactiveToken)):
			return request, nil
		case err != nil && !errors.Is(err, fosite.ErrNotFound) && !errors.Is(err, fosite.ErrInactiveToken):
			return nil, unavailable(err)
		}
	}
	return nil, nil
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
