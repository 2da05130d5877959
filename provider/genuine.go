package provider

import (
	"context"
	"time"

	"github.com/ory/fosite"
)

// validator is a Validate method of a token strategy.
type validator func(ctx context.Context, request fosite.Requester, token string) error

// genuine tells whether the strategy of validate made token, expired or not. A row found by the signature does not prove that:
// in fosite's strategies the signature is the second half of the token, and anybody who has seen it can put another first
// half before it. So a token may end a grant only if it is genuine.
//
// request is what the token was issued for, as far as that is known.
func genuine(ctx context.Context, validate validator, kind fosite.TokenType, request fosite.Requester, token string) bool {
	var session fosite.Session
	if s := request.GetSession(); s != nil {
		session = s.Clone()
	}
	if session == nil {
		session = &fosite.DefaultSession{}
	}
	session.SetExpiresAt(kind, farAway) // fosite's strategies refuse an expired token before they look at it
	return validate(ctx, &fosite.Request{
		ID: request.GetID(), RequestedAt: request.GetRequestedAt(), Client: request.GetClient(),
		RequestedScope: request.GetRequestedScopes(), GrantedScope: request.GetGrantedScopes(),
		RequestedAudience: request.GetRequestedAudience(), GrantedAudience: request.GetGrantedAudience(),
		Form: request.GetRequestForm(), Session: session,
	}, token) == nil
}

var farAway = time.Date(9000, time.January, 1, 0, 0, 0, 0, time.UTC)
